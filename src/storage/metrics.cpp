#include "storage/metrics.h"
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <utility>
#include "base/error.h"
#include "base/host.h"
#include "storage/lenient_json.h"
#include "storage/tensorboard.h"

namespace hebm::storage {
namespace {

using Json = nlohmann::json;

constexpr const char* kFileName = "metrics.jsonl";
constexpr std::uint64_t kMaxFile = 8ull << 30;
constexpr std::size_t kMaxBuffer = 1 << 20, kMaxLine = 1 << 20;
constexpr std::size_t kMaxKept = 256 << 20;  // of the lines that are read: 20,000 of 200 scalars have 180 MB

double now_s() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Every whole line, in order, by its number from 0: what stands behind the last newline was torn by
// a kill. None: the line is longer than kMaxLine. Memory is that of one line.
using TakeLine = std::function<void(std::size_t number, std::optional<std::string_view> line)>;
void each_line(const fs::path& path, const TakeLine& take) {
  const ReadOnlyFile file(path);
  check(file.size() <= kMaxFile, ExitCode::kRuntime, "{}: {} bytes, expected at most {}", path.string(), file.size(),
      kMaxFile);
  std::string begun;  // of a line that goes on in the next block; one byte too many says that it is too long
  std::size_t number = 0;
  file.read_blocks(0, file.size(), [&](std::span<const std::byte> block) {
    std::string_view rest(reinterpret_cast<const char*>(block.data()), block.size());
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      const std::string_view part = rest.substr(0, end);
      const bool is_short = begun.size() + part.size() <= kMaxLine;
      if (is_short && !begun.empty()) begun += part;
      take(number++, !is_short ? std::nullopt : std::optional(begun.empty() ? part : std::string_view(begun)));
      begun.clear();
    }
    begun += rest.substr(0, kMaxLine + 1 - std::min(begun.size(), kMaxLine + 1));
  });
}

bool is_kept(std::string_view line, std::int64_t last_step) {
  const Json json = lenient_json(line);
  const Json* step = field_in(json, "step");
  return step != nullptr && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

// metrics.jsonl, without the lines behind last_step; makes the folder.
fs::path cut_after(const fs::path& folder, std::int64_t last_step) {
  create_folders(folder);
  const fs::path path = folder / kFileName;
  if (!fs::exists(path)) return path;
  std::vector<bool> kept;
  std::uint64_t bytes = 0;
  each_line(path, [&](std::size_t, std::optional<std::string_view> line) {
    kept.push_back(line && is_kept(*line, last_step));
    bytes += kept.back() ? line->size() + 1 : 0;
  });
  if (bytes == fs::file_size(path)) return path;
  const fs::path temporary = temporary_name(path);
  HashedFileWriter writer(temporary);
  std::string buffer;
  each_line(path, [&](std::size_t number, std::optional<std::string_view> line) {
    if (!kept.at(number)) return;
    buffer.append(*line).push_back('\n');
    if (buffer.size() > kMaxBuffer) writer.write(std::exchange(buffer, ""));
  });
  writer.write(buffer);
  writer.close_durable();
  publish_file(temporary, path);
  return path;
}

// TensorBoard reads a folder's files in the order of their names: the time first, to the us.
fs::path event_path(const fs::path& folder) {
  return folder / fmt::format("events.out.tfevents.{:017.6f}.{}.{}", now_s(), host_name(), ::getpid());
}

}  // namespace

MetricsWriter::MetricsWriter(const fs::path& run_directory, std::int64_t last_step)
    : lines_(cut_after(run_directory, last_step)), events_(event_path(run_directory)) {
  const double time = now_s();
  event_buffer_ = tensorboard::frame(tensorboard::version_event(time)) +
                  tensorboard::frame(tensorboard::restart_event(time, last_step + 1));
  flush();
}

void MetricsWriter::write_out() {
  lines_.append(line_buffer_);
  line_buffer_.clear();
  events_.append(event_buffer_);
  event_buffer_.clear();
}

void MetricsWriter::write_out_if_long() {
  if (line_buffer_.size() + event_buffer_.size() <= kMaxBuffer) return;
  try {
    write_out();
  } catch (const Error&) {
    // The lines are kept, and flush() tells.
  }
}

MetricsWriter::~MetricsWriter() {
  try {
    flush();
  } catch (const Error& error) {
    std::fprintf(stderr, "metrics are incomplete: %s\n", error.what());
  }
}

void MetricsWriter::write(std::int64_t step, const Scalars& scalars, const Json& extra) {
  const double time = now_s();
  nlohmann::ordered_json line = {{"step", step}, {"time_s", time}};
  const auto add = [&](const std::string& name, const nlohmann::ordered_json& value) {
    check(!line.contains(name), ExitCode::kRuntime, "metric \"{}\" was given twice at step {}", name, step);
    line[name] = value;
  };
  for (const auto& [name, value] : scalars) add(name, value);  // dump() makes null of NaN and Inf
  check(extra.is_null() || extra.is_object(), ExitCode::kRuntime, "metrics of step {}: extra is not an object", step);
  for (const auto& [name, value] : extra.items()) add(name, value);
  line_buffer_ += json_text(line) + "\n";
  if (!scalars.empty()) event_buffer_ += tensorboard::frame(tensorboard::scalars_event(time, step, scalars));
  write_out_if_long();
}

void MetricsWriter::image(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
    int channels, std::span<const std::uint8_t> png_bytes) {
  event_buffer_ += tensorboard::frame(tensorboard::image_event(now_s(), step, tag, width, height, channels, png_bytes));
  write_out_if_long();
}

void MetricsWriter::flush() {
  write_out();
  lines_.sync();
  events_.sync();
}

std::vector<Json> read_metrics(const fs::path& run_directory, std::size_t max_lines) {
  const fs::path path = run_directory / kFileName;
  if (!fs::exists(path) || max_lines == 0) return {};
  std::size_t total = 0, bytes = 0;
  each_line(path, [&](std::size_t, const auto&) { ++total; });
  const std::size_t count = std::min(max_lines, total);
  std::vector<Json> metrics;
  // Evenly, with the first and the last; the last alone where there is room for one.
  const auto wanted = [&](std::size_t i) { return count == 1 ? total - 1 : i * (total - 1) / (count - 1); };
  each_line(path, [&](std::size_t number, std::optional<std::string_view> line) {
    if (metrics.size() == count || number != wanted(metrics.size())) return;
    check(line.has_value(), ExitCode::kCorrupt, "{}: line {} is longer than {} bytes", path.string(), number + 1,
        kMaxLine);
    bytes += line->size();
    check(bytes <= kMaxKept, ExitCode::kCorrupt, "{}: {} of its lines have more than {} bytes", path.string(), count,
        kMaxKept);
    metrics.push_back(lenient_json(*line));
    check(
        metrics.back().is_object(), ExitCode::kCorrupt, "{}: line {} is not a JSON object", path.string(), number + 1);
  });
  return metrics;
}

}  // namespace hebm::storage
