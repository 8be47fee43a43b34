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

// ---- its nets: options, and power iterations within an update

void EnergyOptions::describe(Options& o) {
  o.add_choice("energy.net", &net,
      "energy nets: small (convolutions, for the HVAE's layers), dense (without them, for a small NVAE's), or "
      "the paper's of CIFAR-10 and CelebA-HQ-256 (latents 4 x 4 to 128 x 128)",
      Show::kCommon);
  o.add("energy.width", &width, "channels of the energy nets (paper: 128 CIFAR-10, 64 CelebA-HQ-256)", {4, 4096},
      Show::kCommon);
  o.add("energy.embedding", &embedding, "size of the embedding of t, small nets (the paper's have 128)", {2, 4096});
  o.add("energy.per_level", &per_level, "nets of their own for every t; false: one net a layer that is told t (paper)");
  o.add("energy.gain", &gain, "factor of the nets' output", {1e-6, 1e6});
  o.add("energy.spectral_norm", &spectral_norm, "divide every weight by its largest singular value");
  o.add("energy.power_iterations", &power_iterations, "power iterations an optimiser step", {0, 1000});
  o.add("energy.warm_iterations", &warm_iterations, "power iterations before the first step", {0, 10000});
  o.add("energy.power_iterations_in_chain", &power_iterations_in_chain,
      "one power iteration at every Langevin step and each half of the loss, K + 2 an update (authors' code), "
      "instead of energy.power_iterations");
}

std::int64_t EnergyOptions::embedding_size() const {
  constexpr std::int64_t kPaperEmbedding = 128;
  return ours() ? embedding : kPaperEmbedding;
}

std::unique_ptr<EnergyNet> make_energy_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting) {
  auto net = (options.ours() ? make_small_net : make_paper_net)(options, shape, setting);
  net->power_iterate(options.warm_iterations);
  return net;
}

std::vector<EnergyNet::Spectral> EnergyNet::iterated(std::int64_t fixed, std::int64_t learning) const {
  const c10::NoGradGuard no_grad;
  std::vector<Spectral> out;
  Spectral moving = weights_;
  for (std::int64_t k = 0; k < fixed + learning; ++k) {
    for (auto& weight : moving) {
      if (!options_.spectral_norm) continue;
      weight = {weight.weight, weight.u.clone(), weight.v.clone()};
      weight.iterate(1);
      if (k < fixed) weight.fixed_sigma = weight.sigma();
    }
    out.push_back(moving);
  }
  return out;
}

void EnergyNet::adopt(const Spectral& normed) const {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; options_.spectral_norm && i < weights_.size(); ++i) {
    weights_[i].u.copy_(normed[i].u);
    weights_[i].v.copy_(normed[i].v);
  }
}

}  // namespace hebm::prior
