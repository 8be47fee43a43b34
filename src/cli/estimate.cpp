#include "cli/estimate.h"
#include <fmt/format.h>
#include <algorithm>
#include <cstdlib>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "base/status.h"
#include "storage/files.h"

namespace hebm::cli {
namespace {

constexpr double kProgramBytes = 200.0 * 1024 * 1024;
constexpr double kUsedBytes = 4, kTrainedBytes = 20, kCheckpointBytes = 16;  // a number
constexpr std::int64_t kValueBytes = 12;

}  // namespace

int planned_ranks() {
  constexpr int kMost = 9999999;
  const char* text = std::getenv("HEBM_RANKS");
  if (text == nullptr || *text == '\0') return 1;
  const auto ranks = detail::parse_number<int>(text);
  check(ranks && *ranks >= 1 && *ranks <= kMost, ExitCode::kUsage,
      "HEBM_RANKS = '{}': expected the number of a job's ranks, in [1, {}]", printable(text), kMost);
  return *ranks;
}

std::int64_t map_values(const nets::Parameters& params, std::int64_t side) {
  std::int64_t values = 0;
  for (const auto& parameter : params.parameters()) {
    const auto shape = parameter.tensor.sizes();
    if (shape.size() >= 2) values += shape[0] * (shape.size() == 4 ? side * side : 1);  // else biases and scales
  }
  return values;
}

std::int64_t vae_values(const vae::Backbone& backbone) {
  return map_values(backbone.params(), backbone.image_shape().height / 2);
}

std::int64_t chain_bytes(const prior::EnergyPrior& prior, const vae::Backbone& backbone, std::int64_t images) {
  constexpr std::int64_t kFloat = 4, kSides = 2, kStates = 8;
  std::int64_t largest = 1, of_net = 0;
  for (const auto& group : backbone.groups()) largest = std::max(largest, group.height);
  for (std::size_t i = 0; i < prior.num_layers(); ++i)
    of_net = std::max(of_net, map_values(prior.net(0, i).params(), backbone.groups()[i].height));
  const std::int64_t kept = backbone.kept_in_transport();
  const std::int64_t of_backbone = kept > 0 ? kFloat * kept : kValueBytes * map_values(backbone.params(), largest);
  const std::int64_t an_image = of_backbone + kSides * kValueBytes * of_net + kStates * kFloat * backbone.dim();
  return images * an_image + kFloat * (backbone.transport_weights() + prior.num_parameters());
}

std::string energy_nets_line(const prior::EnergyPrior& prior) {
  return fmt::format("energy nets: {} parameters, T = {}", prior.num_parameters(), prior.num_levels());
}

std::int64_t kept_bytes(const data::Dataset& dataset) {
  const std::int64_t bytes = dataset.size() * dataset.shape().size();
  return bytes <= static_cast<std::int64_t>(data::Dataset::kKeepBytes) ? bytes : 0;
}

std::string memory_line(const Memory& m) {
  const double weights = kUsedBytes * m.used + kTrainedBytes * m.trained;
  const double work =
      m.work_bytes > 0 ? static_cast<double>(m.work_bytes) : static_cast<double>(kValueBytes * m.values * m.images);
  return fmt::format(
      "memory a rank: about {} (program {}, weights and optimiser {}, {} images at a time {}, images kept {})",
      format_bytes(kProgramBytes + weights + work + m.data_bytes), format_bytes(kProgramBytes), format_bytes(weights),
      m.images, format_bytes(work), format_bytes(m.data_bytes));
}

std::string disk_line(const std::string& what, std::int64_t count, double bytes, const std::filesystem::path& folder) {
  const double total = count * bytes, free = storage::free_bytes(folder);
  const std::string size =
      count == 1 ? format_bytes(total) : fmt::format("{} x {} = {}", count, format_bytes(bytes), format_bytes(total));
  return fmt::format("{}: {} in {}, {} free{}", what, size, folder.string(), format_bytes(free),
      total > free ? fmt::format(": {}", kNotEnough) : "");
}

std::string steps_line(const std::string& what, std::int64_t count, const std::string& each) {
  return fmt::format("steps: {} {}, each {}", count, what, each);
}

void add_training(Lines& lines, TrainingCost cost) {
  lines.push_back(
      disk_line("checkpoints", cost.keep + 1, kCheckpointBytes * cost.parameters, cost.folder / "checkpoints"));
  lines.push_back(disk_line("result", 1, kUsedBytes * cost.parameters, cost.folder));
  if (cost.updates > 0)
    lines.push_back(steps_line("updates", cost.updates,
        fmt::format("{} images in micro-batches of {}{}", cost.batch, cost.micro_batch, cost.note)));
  cost.memory.trained = cost.parameters;
  cost.memory.images = std::max(cost.memory.images, cost.micro_batch);
  lines.push_back(memory_line(cost.memory));
}

}  // namespace hebm::cli
