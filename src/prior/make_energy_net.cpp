#include "base/options.h"
#include "prior/paper_energy_net.h"
#include "prior/small_energy_net.h"

namespace hebm::prior {

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

std::int64_t EnergyOptions::embedding_size() const { return ours() ? embedding : kPaperEmbedding; }

std::unique_ptr<EnergyNet> make_energy_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting) {
  std::unique_ptr<EnergyNet> net;
  if (options.net == NetKind::kCifar10) {
    net = std::make_unique<Cifar10EnergyNet>(options, shape, setting);
  } else if (options.net == NetKind::kCelebaHq256) {
    net = std::make_unique<CelebaEnergyNet>(options, shape, setting);
  } else {
    net = std::make_unique<SmallEnergyNet>(options, shape, setting);
  }
  net->power_iterate(options.warm_iterations);
  return net;
}

}  // namespace hebm::prior
