// Forward and reverse pass over the HVAE's latent path, channels last: convolutions of small maps
// as products over all images (nets/map_conv.h), SiLU with its slope in one pass.
#pragma once
#include <ATen/core/Tensor.h>
#include <vector>
#include "nets/map_conv.h"
#include "vae/frozen_path.h"
#include "vae/hvae.h"

namespace hebm::vae {

// The constants of one layer; matrices [in, out], to be multiplied from the right, and turned.
// float32 but for the convolutions of a path in lower precision.
struct FrozenHvaeLayer {
  LatentShape shape;            // of z: c channels
  nets::MapConv first, second;  // of the block (not of layer 0)
  at::Tensor first_bias, second_bias;
  at::Tensor head, head_turned, head_bias;  // [C, 2 c], [2 c, C], [2 c] (not of layer 0)
  at::Tensor from_z, from_z_turned;         // [c, C], [C, c] (not of the last layer)
  at::Tensor added;                         // [C] its bias; of layer 0 [h w, C]: the start and the bias
};

struct FrozenHvae {
  std::int64_t channels = 0;  // C, of s
  double bound = 0;           // of log sigma
  std::vector<FrozenHvaeLayer> layers;
};

class HvaePass final : public FrozenPass {
 public:
  HvaePass(const FrozenHvae& net, std::int64_t images);  // net must outlive this object
  void forward(const at::Tensor& u, const std::vector<at::Tensor>& z, std::int64_t row) override;
  void reverse(const std::vector<at::Tensor>& grads, std::int64_t row, const at::Tensor& out) override;
 private:
  using Floats = std::vector<float>;
  struct LayerState {
    Floats in, in_slope;       // [m, h', w', C] SiLU(s) before it is doubled
    Floats mid, mid_slope;     // [m, h, w, C] behind the block's first convolution
    Floats s, out, out_slope;  // [m, h, w, C] behind the block, and SiLU of it
    Floats head;               // [m h w, 2 c]
    Floats u, sigma, slope;    // [m h w, c]; slope: dz / d raw log sigma
    Floats behind;             // [m, h, w, C] s behind the layer
  };
  void enter(const FrozenHvaeLayer& layer, LayerState& state, const Floats& s);
  void sample(const FrozenHvaeLayer& layer, LayerState& state, float* z);
  void absorb(std::size_t i, const float* z);
  // g: d/d s as the layer reads it -> of s behind the layer above.
  void enter_reverse(const FrozenHvaeLayer& layer, LayerState& state, Floats& g);

  const FrozenHvae& net_;
  std::vector<LayerState> layers_;
  Floats gradient_, of_z_;
};

}  // namespace hebm::vae
