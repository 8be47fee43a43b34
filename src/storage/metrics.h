// Scalars over steps: one JSON object a line in metrics.jsonl, and TensorBoard event files (a test
// reads them with PyPI's tensorboard). Rank 0 only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "storage/files.h"

namespace hebm::storage {

using Scalars = std::vector<std::pair<std::string, double>>;  // "langevin/displacement/t0" -> value

class MetricsWriter {
 public:
  // Appends to RUN/metrics.jsonl; a new events.out.tfevents.* file in RUN. On resume, lines of
  // metrics.jsonl with step > last_step (they come again) are dropped, as is a torn last line.
  MetricsWriter(const std::filesystem::path& run_directory, std::int64_t last_step);
  ~MetricsWriter();
  // One line {"step", "time_s" (since the epoch), each scalar by its name, each member of `extra`};
  // NaN and Inf become null. Buffered until flush(), or 1 MiB. A name twice: Error(kRuntime).
  void write(std::int64_t step, const Scalars& scalars, const nlohmann::json& extra = {});
  // A picture for TensorBoard only; png_bytes as of encode_png.
  void image(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height, int channels,
      std::span<const std::uint8_t> png_bytes);
  // Writes and fsyncs; Error(kRuntime) where it fails (the lines are kept and tried again). The
  // destructor flushes too, but can only report a failure on stderr.
  void flush();
 private:
  void write_out();
  void write_out_if_long();

  AppendFile lines_, events_;
  std::string line_buffer_, event_buffer_;
};

// Every whole line of RUN/metrics.jsonl as JSON, at most max_lines (evenly thinned, first and last
// kept); a torn last line is ignored, a line in the middle that is not JSON is Error(kCorrupt) with
// its number. No file: no lines.
std::vector<nlohmann::json> read_metrics(const std::filesystem::path& run_directory, std::size_t max_lines = 100000);

}  // namespace hebm::storage
