// f_i(z_i, t): the energy net of one latent layer (minus the energy, times s_t^2). Every convolution and linear is spectrally
// normalised, SiLU throughout, a sinusoidal embedding of t enters z and every stage. This is the small net for the HVAE, for
// latents from 1 x 1 to 128 x 128:
//   x = z + E_0(t);  h = conv3x3(x) + E_1(t);  while h is larger than 1 x 1: h = conv4x4/2(SiLU(h)) + E_j(t);
//   h = h + B SiLU(A SiLU(h)) twice;  f = gain * w SiLU(h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.h"
#include "nets/parameters.h"
#include "nets/spectral.h"

namespace hebm {
class Options;
}

namespace hebm::prior {

struct EnergyOptions {
  std::int64_t width = 64;          // channels of the first stage
  std::int64_t max_width = 128;     // stages double up to here
  std::int64_t embedding = 64;      // of t
  double gain = 1.0;                // of the output
  bool spectral_norm = true;
  std::int64_t power_iterations = 1;  // an optimiser step
  std::int64_t warm_iterations = 20;  // before the first
  void describe(Options& options);
};

class EnergyNet {
 public:
  // `layer`: index i (0 = top), tells the nets' random starts apart. num_levels = T.
  EnergyNet(const EnergyOptions& options, const LatentShape& shape, std::int64_t num_levels, int layer,
            std::uint64_t seed, at::ScalarType dtype = at::kFloat);
  EnergyNet(const EnergyNet&) = delete;
  EnergyNet& operator=(const EnergyNet&) = delete;

  // What forward() needs, made once an optimiser step: effective weights W / sigma and the embeddings of every t.
  struct Weights {
    std::vector<at::Tensor> stages;  // conv weights, then dense weights, last the output [1, w]
    std::vector<at::Tensor> tables;  // [T, channels] of each place where t enters
  };
  // With grad: differentiable in the parameters (loss). Without: detached (chains).
  Weights weights(bool with_grad) const;
  // The rows of the tables for these levels, shaped [B, C, 1, 1] or [B, C]; once a chain.
  static std::vector<at::Tensor> embed(const Weights& weights, const at::Tensor& t);
  // z [B, c, h, w], embedded as above -> f [B].
  at::Tensor forward(const Weights& weights, const std::vector<at::Tensor>& embedded, const at::Tensor& z) const;

  void power_iterate(std::int64_t times) const;
  nets::Parameters& params() { return params_; }
  const nets::Parameters& params() const { return params_; }
  // Multiply-adds times two of one forward of one image.
  double forward_flop() const { return forward_flop_; }

 private:
  EnergyOptions options_;
  nets::Parameters params_;
  std::vector<nets::SpectralWeight> convs_, dense_, table_weights_;
  nets::SpectralWeight embed1_, embed2_, out_;
  at::Tensor sinusoid_;  // [T, embedding]
  double forward_flop_ = 0;
};

}  // namespace hebm::prior
