// f_i(z_i, t): the energy net of one latent layer (minus the energy, times s_t^2), the small form for the HVAE, latents from
// 1 x 1 to 128 x 128. Every convolution and linear is spectrally normalised; biases are not, they depend on t:
//   h = SiLU(conv3x3(z) + b_0(t));  while h is larger than 2 x 2: h = SiLU(conv4x4/2(h) + b_j(t));  flatten;
//   dense layers W' -> 2W -> W with SiLU (a residual one 2W -> 2W where there was no convolution);  f = gain * w h.
// b_j(t) = bias + linear(SiLU(embedding of t)); a net of one level has the bias alone.
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
  std::int64_t width = 64;            // W
  std::int64_t embedding = 64;        // of t
  bool per_level = true;              // nets of its own for every t (false: one net a layer, told t, as in the paper)
  double gain = 1.0;                  // of the output
  bool spectral_norm = true;
  std::int64_t power_iterations = 1;  // an optimiser step
  std::int64_t warm_iterations = 15;  // before the first
  void describe(Options& options);
};

class EnergyNet {
 public:
  // `stream` tells the nets' random starts apart. num_levels: values of t this net is told (1: none).
  EnergyNet(const EnergyOptions& options, const LatentShape& shape, std::int64_t num_levels, std::uint32_t stream,
            std::uint64_t seed, at::ScalarType dtype = at::kFloat);
  EnergyNet(const EnergyNet&) = delete;
  EnergyNet& operator=(const EnergyNet&) = delete;

  // What forward() needs, made once an optimiser step: effective weights W / sigma and the biases of every t.
  struct Weights {
    std::vector<at::Tensor> stages;  // conv [out, in, k, k] or dense [out, in]; last the output [1, W]
    std::vector<at::Tensor> biases;  // [num_levels, out] of each stage but the output
  };
  // With grad: differentiable in the parameters (loss). Without: detached (chains).
  Weights weights(bool with_grad) const;
  // Bias rows for these levels, [B, out] a stage; with one level [out]. Once a chain. t [B] int64.
  std::vector<at::Tensor> select(const Weights& weights, const at::Tensor& t) const;
  // z [B, c, h, w], biases from select() -> f [B].
  at::Tensor forward(const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const;

  void power_iterate(std::int64_t times) const;
  nets::Parameters& params() { return params_; }
  const nets::Parameters& params() const { return params_; }
  // Multiply-adds times two of one forward of one image.
  double forward_flop() const { return forward_flop_; }

 private:
  void add_stage(std::vector<std::int64_t> shape, std::int64_t positions);

  EnergyOptions options_;
  std::int64_t num_levels_;
  nets::Parameters params_;
  std::vector<nets::SpectralWeight> stages_, tables_;  // tables_: [out, embedding] of each stage
  std::vector<at::Tensor> biases_;                     // [out] of each stage
  nets::SpectralWeight embed1_, embed2_, out_;
  at::Tensor sinusoid_;  // [T, embedding]
  double forward_flop_ = 0;
};

}  // namespace hebm::prior
