// Scalars over steps: one JSON object a line in metrics.jsonl, and TensorBoard event files (own writer of the small TFRecord /
// Event format with masked CRC32C, read by PyPI's tensorboard in a test). Rank 0 only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hebm::storage {

using Scalars = std::vector<std::pair<std::string, double>>;  // "langevin/displacement/t0" -> value

class MetricsWriter {
 public:
  // Appends to RUN/metrics.jsonl; a new events.out.tfevents.* file in RUN. On resume, lines of metrics.jsonl with step >
  // last_step (they come again) are dropped, as is a torn last line.
  MetricsWriter(const std::filesystem::path& run_directory, std::int64_t last_step);
  ~MetricsWriter();
  void write(std::int64_t step, const Scalars& scalars, const nlohmann::json& extra = {});
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Every whole line of RUN/metrics.jsonl as JSON, at most max_lines (evenly thinned); a torn last line is ignored.
std::vector<nlohmann::json> read_metrics(const std::filesystem::path& run_directory, std::size_t max_lines = 100000);

}  // namespace hebm::storage
