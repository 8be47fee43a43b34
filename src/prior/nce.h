// NCP-VAE's prior (Sec. 2.2; Aneja et al. 2021): the Gaussian p(z_i | z_<i) of every layer tilted
// by r_i(z_i), top down. log r_i is the logit of a classifier, given posterior samples of the
// layers above: z_i from the posterior against z_i from p(z_i | z_<i). Classifiers: the energy nets
// of a prior of one level (make_marginal_schedule), whose output here is the logit itself.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>
#include "base/options.h"
#include "prior/chains.h"
#include "prior/potential.h"
#include "vae/backbone.h"

namespace hebm::prior {

enum class NceSampling { kResampling, kLangevin };
constexpr std::array<Choice<NceSampling>, 2> choices_of(NceSampling) {
  return {{{"resampling", NceSampling::kResampling}, {"langevin", NceSampling::kLangevin}}};
}

struct NceOptions {
  double gain = 50.0;  // of the classifiers, times energy.gain: a logit is F, an EBM's nets learn s^2 F
  NceSampling sampler = NceSampling::kResampling;
  std::int64_t proposals = 100;  // M
  void describe_training(Options& options);
  void describe_sampling(Options& options);
};

// What classifier i is trained on, [2 B, c, h, w], a constant: z_i of u_0 [B, D], then z_i with the
// same layers above and u_i ~ N(0, I), keyed by (ids, i).
at::Tensor contrast_layer(const at::Tensor& u0, std::size_t layer, const vae::Backbone& backbone, const ChainIds& ids);

// sum_b [softplus(-f+_b) + softplus(f-_b)] / global_batch: at equal numbers of both its minimum is
// at f = log of the density ratio. [B] each.
at::Tensor nce_loss(const at::Tensor& positive, const at::Tensor& negative, std::int64_t global_batch);

class NceSampler {
 public:
  // References must outlive this object. between: called before every proposal; it may end the draw
  // by an error.
  NceSampler(const EnergyPrior& prior, const vae::Backbone& backbone, std::int64_t proposals,
      std::function<void()> between = {});
  // Importance resampling: layer by layer from the top, one of M draws of p(z_i | z_<i), with
  // probability ~ r_i; for M -> infinity draws of the product of the tilted and normalised
  // conditionals. [B, D]; M evaluations of every net and M L transports an image, no gradients.
  at::Tensor resample(const ChainIds& ids) const;
 private:
  // u_i of proposal which[b] of row b, [B, d_i].
  at::Tensor propose(const ChainIds& ids, std::size_t layer, const std::vector<std::int64_t>& which) const;

  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  std::int64_t proposals_;
  std::function<void()> between_;
  std::vector<EnergyNet::Weights> weights_;
};

}  // namespace hebm::prior
