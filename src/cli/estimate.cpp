#include "cli/estimate.h"
#include <fmt/format.h>
#include <algorithm>
#include "base/status.h"
#include "storage/files.h"

namespace hebm::cli {
namespace {

constexpr double kProgramBytes = 400.0 * 1024 * 1024;
constexpr double kUsedBytes = 4, kTrainedBytes = 20, kValueBytes = 12, kCheckpointBytes = 16;  // a number

}  // namespace

double map_values(const nets::Parameters& params, std::int64_t side) {
  double values = 0;
  for (const auto& parameter : params.parameters()) {
    const auto shape = parameter.tensor.sizes();
    if (shape.size() < 2) continue;  // biases and scales make no map of their own
    const double positions = shape.size() == 4 ? static_cast<double>(side * side) : 1.0;
    values += static_cast<double>(shape[0]) * positions;
  }
  return values;
}

double chain_values(const prior::EnergyPrior& prior, const vae::Backbone& backbone) {
  std::int64_t largest = 1;
  for (const auto& group : backbone.groups()) largest = std::max(largest, group.height);
  double values = map_values(backbone.params(), largest);
  for (std::size_t i = 0; i < prior.num_layers(); ++i)
    values += map_values(prior.net(0, i).params(), backbone.groups()[i].height);
  return values;
}

std::string energy_nets_line(const prior::EnergyPrior& prior) {
  return fmt::format("energy nets: {} parameters, T = {}", prior.num_parameters(), prior.num_levels());
}

double kept_bytes(const data::Dataset& dataset) {
  const double bytes = static_cast<double>(dataset.size()) * static_cast<double>(dataset.shape().size());
  return bytes <= static_cast<double>(data::Dataset::kKeepBytes) ? bytes : 0;
}

std::string memory_line(const Memory& m) {
  const double weights = kUsedBytes * m.used + kTrainedBytes * m.trained, work = kValueBytes * m.values * m.images;
  return fmt::format(
      "memory a rank: about {} (program {}, weights and optimiser {}, {:.0f} images at a time {}, images kept {})",
      format_bytes(kProgramBytes + weights + work + m.data_bytes), format_bytes(kProgramBytes), format_bytes(weights),
      m.images, format_bytes(work), format_bytes(m.data_bytes));
}

std::string disk_line(const std::string& what, std::int64_t count, double bytes, const std::filesystem::path& folder) {
  const double total = static_cast<double>(count) * bytes, free = static_cast<double>(storage::free_bytes(folder));
  const std::string size =
      count == 1 ? format_bytes(total) : fmt::format("{} x {} = {}", count, format_bytes(bytes), format_bytes(total));
  return fmt::format("{}: {} in {}, {} free{}", what, size, folder.string(), format_bytes(free),
      total > free ? fmt::format(": {}", kNotEnough) : "");
}

std::string checkpoint_line(std::int64_t trained, std::int64_t keep, const std::filesystem::path& folder) {
  return disk_line("checkpoints", keep + 1, kCheckpointBytes * static_cast<double>(trained), folder / "checkpoints");
}

std::string weights_line(std::int64_t parameters, const std::filesystem::path& folder) {
  return disk_line("result", 1, kUsedBytes * static_cast<double>(parameters), folder);
}

std::string steps_line(const std::string& what, std::int64_t count, const std::string& each) {
  return fmt::format("steps: {} {}, each {}", count, what, each);
}

}  // namespace hebm::cli
