// All parameters of one net in one flat buffer, and their gradients in another: sums over ranks,
// the optimiser and EMA work on flat vectors, layers see views. Usage: add() everything in a fixed
// order, then flatten() once.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>
#include "base/random.h"

namespace hebm::nets {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

enum class Init {
  kZero,
  kOne,
  kUniformFanIn,  // U(-b, b), b = scale / sqrt(fan_in), fan_in = elements / shape[0]: torch's default for conv and
                  // linear
  kNormal,        // N(0, scale^2)
};

class Parameters {
 public:
  // `stream` tells nets of one seed apart; values depend on (seed, stream, running number) only.
  // dtype float32 or float64. Device kMeta: shapes and counts without memory or values. More than
  // max_values in all is Error(kCorrupt) before anything of that size is allocated: for shapes that
  // a file asks for.
  Parameters(std::uint64_t seed, std::uint32_t stream, at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU,
      std::int64_t max_values = std::numeric_limits<std::int64_t>::max());

  at::Tensor add(const std::string& name, const std::vector<std::int64_t>& shape, Init init, double scale = 1.0);
  // State that no gradient touches (power-iteration vectors): saved, not optimised.
  at::Tensor add_state(const std::string& name, const std::vector<std::int64_t>& shape, Init init, double scale = 1.0);
  // What is neither trained nor saved but must be where the parameters are (tables of sines,
  // masks); a copy on device().
  at::Tensor add_constant(const at::Tensor& values);
  void flatten();
  // Moves all of it, after flatten(): tensors that add*() gave stay valid, flat() and grad() are
  // new ones.
  void to(at::Device device);

  const at::Tensor& flat() const { return flat_; }  // [P]
  const at::Tensor& grad() const { return grad_; }  // [P]; autograd accumulates here
  std::int64_t size() const { return flat_.defined() ? flat_.numel() : 0; }
  const std::vector<NamedTensor>& parameters() const { return parameters_; }
  const std::vector<NamedTensor>& states() const { return states_; }
  // Views of another flat vector of the same layout (EMA, moments) under the parameters' names.
  std::vector<NamedTensor> views_of(const at::Tensor& flat, const std::string& prefix) const;
  void zero_grad();
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
 private:
  at::Tensor make(const std::vector<std::int64_t>& shape, Init init, double scale);
  void bind_views();

  std::uint64_t seed_;
  std::uint32_t stream_, next_item_ = 0;
  at::ScalarType dtype_;
  at::Device device_;
  std::int64_t max_values_, num_values_ = 0;
  std::vector<NamedTensor> parameters_, states_;
  std::vector<at::Tensor> constants_;
  at::Tensor flat_, grad_;
};

}  // namespace hebm::nets
