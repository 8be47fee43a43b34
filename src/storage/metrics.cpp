#include "storage/metrics.h"
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include "base/error.h"
#include "base/host.h"
#include "storage/lenient_json.h"
#include "storage/tensorboard.h"

namespace hebm::storage {
namespace {

using Json = nlohmann::json;

constexpr const char* kFileName = "metrics.jsonl";
constexpr std::uint64_t kMaxFile = 8ull << 30;
constexpr std::size_t kMaxBuffer = 1 << 20;

double now_s() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Whole lines only: what stands behind the last newline was torn by a kill.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t start = 0, end = 0; (end = text.find('\n', start)) != std::string_view::npos; start = end + 1) {
    lines.push_back(text.substr(start, end - start));
  }
  return lines;
}

bool is_kept(std::string_view line, std::int64_t last_step) {
  const Json json = Json::parse(line, nullptr, false);
  const Json* step = field_in(json, "step");
  return step != nullptr && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

// metrics.jsonl, without the lines behind last_step; makes the folder.
fs::path cut_after(const fs::path& folder, std::int64_t last_step) {
  create_folders(folder);
  const fs::path path = folder / kFileName;
  if (!fs::exists(path)) return path;
  const std::string text = read_file(path, kMaxFile);
  std::string kept;
  for (const std::string_view line : whole_lines(text)) {
    if (is_kept(line, last_step)) kept.append(line).push_back('\n');
  }
  if (kept.size() != text.size()) write_file_atomic(path, kept);
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
  line_buffer_ += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
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
  const std::string text = read_file(path, kMaxFile);
  const std::vector<std::string_view> lines = whole_lines(text);
  const std::size_t count = std::min(max_lines, lines.size());
  std::vector<Json> metrics;
  for (std::size_t i = 0; i < count; ++i) {
    // Evenly, with the first and the last; the last alone where there is room for one.
    const std::size_t line = count == 1 ? lines.size() - 1 : i * (lines.size() - 1) / (count - 1);
    metrics.push_back(Json::parse(lines[line], nullptr, false));
    check(metrics.back().is_object(), ExitCode::kCorrupt, "{}: line {} is not a JSON object", path.string(), line + 1);
  }
  return metrics;
}

}  // namespace hebm::storage
