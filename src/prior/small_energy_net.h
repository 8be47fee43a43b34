// Our two energy nets. `small`, for the layers of the HVAE, latents from 1 x 1 to 128 x 128. Every
// convolution and linear is spectrally normalised; biases are not, they depend on t:
//   h = SiLU(conv3x3(z) + b_0(t));  while h is larger than 2 x 2: h = SiLU(conv4x4/2(h) + b_j(t));
//   flatten;
//   dense layers W' -> 2W -> W with SiLU (a residual one 2W -> 2W where there was no convolution);
//   f = gain * w h. `dense`: the same without the convolutions. What a layer of nearly white noise
//   hides is in few directions across all of its elements, and a convolution, which sees a patch,
//   does not find them (docs/results.md, small NVAE). b_j(t) = bias + linear(SiLU(embedding of t));
//   a net of one level has the bias alone.
#pragma once
#include "prior/energy_net.h"

namespace hebm::prior {

class SmallEnergyNet : public EnergyNet {
 public:
  SmallEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
 protected:
  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override;
  // stages: one a stage, last the output [1, W]; biases: one a stage.
  Weights build(const std::vector<at::Tensor>& effective) const override;
 private:
  void add_stage(std::vector<std::int64_t> shape, std::int64_t positions);

  std::size_t embed1_ = 0, embed2_ = 0, out_ = 0;  // numbers of weights
  std::vector<std::size_t> stages_, tables_;       // tables_: [out, embedding] of each stage
  std::size_t residual_ = 0;                       // of stages_: adds to its input; 0: none does
  std::vector<at::Tensor> biases_;                 // [out] of each stage
  at::Tensor sinusoid_;                            // [T, embedding]
};

}  // namespace hebm::prior
