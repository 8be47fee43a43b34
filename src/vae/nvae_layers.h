// NVAE's layers over nets::Parameters: convolution (weight-normalised or plain, masked in the
// flows), batch norm, squeeze-and-excitation. They are handles: a copy shares its tensors. How they
// run is a Pass: as it is, evaluation (running statistics, weights normalised at every use).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>
#include "nets/batch_norm.h"
#include "nets/layers.h"
#include "nets/parameters.h"

namespace hebm::vae {

struct NvaeConv {
  at::Tensor weight;           // v [out, in / groups, k, k]
  at::Tensor log_weight_norm;  // [out, 1, 1, 1]; undefined: the weight is v itself
  at::Tensor bias;             // [out] or undefined
  at::Tensor mask;             // 0 and 1, of v's shape; undefined: all 1
  std::int64_t stride = 1, padding = 0, groups = 1;
  std::size_t index = 0;  // in NvaeLayers::convs

  // exp(log_weight_norm) m v / (|m v| + 1e-5) for every output channel, m the mask.
  at::Tensor effective_weight() const;
  // x [B, in, H, W], effective [out, in / groups, k, k] -> [B, out, H', W'].
  at::Tensor apply(const at::Tensor& x, const at::Tensor& effective) const;
};

using BatchNorm = nets::BatchNormTensors;
// Soft clamp of mu and log sigma; sigma = exp(clamped) + offset; the top layer's raw value is 0.
inline constexpr double kNvaeClamp = 5.0, kNvaeSigmaOffset = 0.01, kNvaeTopSigma = 1.0 + kNvaeSigmaOffset;
inline constexpr double kBranchWeight = 0.1;  // of a residual cell's branch

class Pass;
using Tensors = std::vector<at::Tensor>;
// A piece of the net as a function of its inputs; an output may be an input.
using Part = std::function<Tensors(const Pass& pass, const Tensors& inputs)>;

class Pass {
 public:
  explicit Pass(nets::NormMode mode = {}) : mode_(std::move(mode)) {}
  virtual ~Pass() = default;
  virtual at::Tensor norm(const BatchNorm& norm, const at::Tensor& x, bool silu) const;  // x [B, C, H, W]
  virtual at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const;
  virtual Tensors part(const Part& part, const Tensors& inputs) const { return part(*this, inputs); }
 protected:
  nets::NormMode mode_;
};

// x * sigmoid(W2 relu(W1 mean_{H,W} x)): one factor a channel.
struct SqueezeExcite {
  nets::Linear squeeze, excite;  // C -> max(C / 16, 4) -> C; undefined weights: left out
  at::Tensor operator()(const at::Tensor& x) const;
};

struct ConvShape {
  std::int64_t in = 0, out = 0, kernel = 1, stride = 1, groups = 1;
  bool weight_norm = true, bias = true;
};

// Every convolution and batch norm of one net in order of construction, and the parameters they are
// made in. NVAE's spectral regularisation sums over all of `convs`, those without weight norm too;
// its batch-norm penalty over all of `norms`.
class NvaeLayers {
 public:
  explicit NvaeLayers(nets::Parameters& params) : params_(params) {}
  NvaeLayers(const NvaeLayers&) = delete;
  NvaeLayers& operator=(const NvaeLayers&) = delete;

  // Weights and bias U(+-1/sqrt(fan_in)), padding k / 2, log_weight_norm = log(norm_factor (|m v| +
  // 0.01)). mask: see NvaeConv.
  NvaeConv conv(const std::string& name, const ConvShape& shape, const at::Tensor& mask = {}, double norm_factor = 1.0);
  BatchNorm norm(const std::string& name, std::int64_t channels);
  SqueezeExcite squeeze_excite(const std::string& name, std::int64_t channels);

  nets::Parameters& params() { return params_; }
  const std::vector<NvaeConv>& convs() const { return convs_; }
  const std::vector<BatchNorm>& norms() const { return norms_; }
 private:
  nets::Parameters& params_;
  std::vector<NvaeConv> convs_;
  std::vector<BatchNorm> norms_;
};

}  // namespace hebm::vae
