// One forward and one reverse pass of small_energy_net.cpp's nets over a chunk of images, on the
// host in float32: to z (chains) and to the weights (loss).
#pragma once
#include <ATen/core/Tensor.h>
#include <vector>
#include "nets/map_conv.h"

namespace hebm::prior {

// One stage: h = SiLU(x * W + b), channels last.
struct SmallStage {
  nets::MapConv conv;        // or
  at::Tensor dense, turned;  // [in, out], [out, in] of a dense layer, in the type of the products
  nets::MapShape in, out;    // of a dense layer 1 x 1
  bool convolves() const { return !dense.defined(); }
};

// A stage's bias is the same for all images, [out], or one an image, [B, out].
inline bool is_of_images(const at::Tensor& bias) { return bias.dim() == 2; }

// One chunk of m images.
class SmallNetPass {
 public:
  // residual: the stage that adds to its input; 0: none. stages must outlive this object.
  SmallNetPass(const std::vector<SmallStage>& stages, std::size_t residual, std::int64_t images);
  std::int64_t images() const { return images_; }
  // z [m, H, W, C], to live until reverse() -> h [m, W]; biases of images: from row `first` on
  const float* forward(const float* z, const std::vector<at::Tensor>& biases, std::int64_t first);
  // gh [m, W] -> d/dz at the result, where it is wanted. weights: adds to each stage's gradient,
  // [O, C, k, k] or [in, out], and to [O] or, of images `first` on, [B, O] of the biases.
  struct Gradients {
    std::vector<at::Tensor> stages, biases;
    std::int64_t first = 0;
  };
  const float* reverse(const float* gh, bool wants_z, const Gradients* weights);
 private:
  using Floats = std::vector<float>;
  const float* input(std::size_t j) const { return j == 0 ? z_ : h_[j - 1].data(); }
  bool adds(std::size_t j) const { return j > 0 && j == residual_; }
  // bias: of the first of the images; of_image: floats from image to image, 0: the same for all.
  void activate(std::size_t j, const float* bias, std::int64_t of_image);
  void add_gradients(std::size_t j, const Gradients& to) const;

  const std::vector<SmallStage>& stages_;
  std::size_t residual_;
  std::int64_t images_;
  const float* z_ = nullptr;
  std::vector<Floats> h_, slopes_;  // by stage, [m, pixels, channels]
  Floats gradient_, below_, kept_;
  std::vector<at::BFloat16> rounded_;  // left side of a product
};

}  // namespace hebm::prior
