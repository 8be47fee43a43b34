#include "nets/spectral.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/mv.h>
#include <c10/core/GradMode.h>

namespace hebm::nets {
namespace {

constexpr double kEps = 1e-12;

void normalise_into(const at::Tensor& target, const at::Tensor& value) {
  target.copy_(value / value.norm().clamp_min(kEps));
}

}  // namespace

void SpectralWeight::iterate(int times) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor matrix = weight.flatten(1);  // [out, rest]
  for (int i = 0; i < times; ++i) {
    normalise_into(v, at::mv(matrix.t(), u));
    normalise_into(u, at::mv(matrix, v));
  }
}

at::Tensor SpectralWeight::sigma() const { return at::dot(u, at::mv(weight.flatten(1), v)); }

at::Tensor SpectralWeight::effective() const { return weight / sigma(); }

SpectralWeight make_spectral(
    Parameters& params, const std::string& name, std::vector<std::int64_t> shape, double scale) {
  SpectralWeight w;
  std::int64_t rest = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) rest *= shape[i];
  const std::int64_t out = shape.at(0);
  w.weight = params.add(name + ".weight_orig", std::move(shape), Init::kUniformFanIn, scale);
  w.u = params.add_state(name + ".weight_u", {out}, Init::kNormal);
  w.v = params.add_state(name + ".weight_v", {rest}, Init::kNormal);
  const c10::NoGradGuard no_grad;
  normalise_into(w.u, w.u.clone());
  normalise_into(w.v, w.v.clone());
  return w;
}

}  // namespace hebm::nets
