#include "prior/energy_prior.h"
#include <c10/core/GradMode.h>
#include <algorithm>
#include "base/error.h"
#include "base/visits.h"
#include "nets/tensor_io.h"

namespace hebm::prior {

EnergyPrior::EnergyPrior(const EnergyOptions& options, const std::vector<LatentShape>& groups, const Schedule& schedule,
    std::uint64_t seed, at::ScalarType dtype, std::int64_t max_values, LabelHeads heads)
    : schedule_(schedule), num_layers_(groups.size()), per_level_(options.per_level), heads_(std::move(heads)) {
  check_heads(heads_, static_cast<std::int64_t>(num_layers_));
  check(!per_level_ || options.ours(), ExitCode::kUsage,
      "energy.net = {}: the paper has one net a layer, which is told t; set energy.per_level = false",
      name_of(options.net));
  const std::int64_t sets = per_level_ ? num_levels() : 1;
  for (std::int64_t set = 0; set < sets; ++set) {
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const auto stream = visits::kEnergyNets + static_cast<std::uint32_t>(nets_.size());
      const std::int64_t rows = set == 0 ? label_rows(heads_, i) : 0;
      nets_.push_back(
          make_energy_net(options, groups[i], {per_level_ ? 1 : num_levels(), stream, seed, dtype, max_values, rows}));
      for (const auto& t : nets::saved_tensors(nets_.back()->params())) max_values -= t.tensor.numel();
    }
  }
}

std::size_t EnergyPrior::first_bucket(const std::vector<std::int64_t>& levels) const {
  if (!per_level_) return 0;
  check(!levels.empty() && std::all_of(levels.begin(), levels.end(), [&](auto t) { return t == levels[0]; }),
      ExitCode::kRuntime, "energy.per_level: chains of a micro-batch must share one level");
  return static_cast<std::size_t>(levels[0]) * num_layers_;
}

std::string EnergyPrior::bucket_name(std::size_t b) const {
  const std::string layer = "layer" + std::to_string(b % num_layers_) + ".";
  return per_level_ ? "level" + std::to_string(b / num_layers_) + "." + layer : layer;
}

std::int64_t EnergyPrior::num_parameters() const {
  std::int64_t total = 0;
  for (const auto& net : nets_) total += net->params().size();
  return total;
}

void EnergyPrior::to(at::Device device) {
  for (const auto& net : nets_) net->params().to(device);
}

std::vector<nets::NamedTensor> EnergyPrior::named_tensors() const {
  std::vector<nets::NamedTensor> out;
  for (std::size_t b = 0; b < nets_.size(); ++b) {
    for (auto& t : nets::saved_tensors(nets_[b]->params(), bucket_name(b))) out.push_back(std::move(t));
  }
  return out;
}

void EnergyPrior::copy_from(const EnergyPrior& other) {
  const c10::NoGradGuard no_grad;
  const auto mine = named_tensors();
  for (const auto& t : other.named_tensors()) {
    const auto found = std::ranges::find(mine, t.name, &nets::NamedTensor::name);
    check(found != mine.end() && found->tensor.sizes() == t.tensor.sizes(), ExitCode::kRuntime,
        "copying a prior: {} does not fit here", t.name);
    found->tensor.copy_(t.tensor);
  }
}

std::vector<EnergyNet::Weights> EnergyPrior::frozen_weights(nets::Precision of_chains) const {
  std::vector<EnergyNet::Weights> out;
  for (const auto& net : nets_) out.push_back(net->weights(false, of_chains));
  return out;
}

}  // namespace hebm::prior
