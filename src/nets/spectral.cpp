#include "nets/spectral.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <utility>
#include "base/error.h"

namespace hebm::nets {
namespace {

constexpr double kEps = 1e-12, kPenaltyEps = 1e-3;

void normalise_into(const at::Tensor& target, const at::Tensor& value) {
  target.copy_(value / value.norm().clamp_min(kEps));
}

// columns [n, m, 1]: each divided by max(its norm, eps).
at::Tensor normalised(const at::Tensor& columns) { return columns / columns.norm(2, {1}, true).clamp_min(kPenaltyEps); }

at::Tensor start_columns(
    std::int64_t count, std::int64_t size, std::uint64_t seed, std::uint32_t item, const at::TensorOptions& options) {
  const at::Tensor out = at::empty({count, size, 1}, at::kFloat);
  fill_normal(
      {out.data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {seed, 0, Purpose::kSpectral}, {.item = item});
  return normalised(out.to(options));
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

at::Tensor SpectralWeight::effective() const { return weight / (fixed_sigma.defined() ? fixed_sigma : sigma()); }

SpectralWeight make_spectral(
    Parameters& params, const std::string& name, const std::vector<std::int64_t>& shape, double scale) {
  SpectralWeight w;
  std::int64_t rest = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) rest *= shape[i];
  const std::int64_t out = shape.at(0);
  w.weight = params.add(name + ".weight_orig", shape, Init::kUniformFanIn, scale);
  w.u = params.add_state(name + ".weight_u", {out}, Init::kNormal);
  w.v = params.add_state(name + ".weight_v", {rest}, Init::kNormal);
  const c10::NoGradGuard no_grad;
  normalise_into(w.u, w.u.clone());
  normalise_into(w.v, w.v.clone());
  return w;
}

SpectralPenalty::SpectralPenalty(const std::vector<at::Tensor>& weights, std::uint64_t seed) {
  const c10::NoGradGuard no_grad;
  const auto shape_of = [&](std::size_t i) {
    return std::pair{weights[i].size(0), weights[i].numel() / weights[i].size(0)};
  };
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto group =
        std::ranges::find_if(groups_, [&](const Group& g) { return shape_of(g.members.front()) == shape_of(i); });
    if (group == groups_.end()) {
      groups_.push_back({{i}, {}, {}});
    } else {
      group->members.push_back(i);
    }
  }
  for (std::uint32_t item = 0; Group & group : groups_) {
    const auto [out, rest] = shape_of(group.members.front());
    const auto count = static_cast<std::int64_t>(group.members.size());
    const auto options = weights[group.members.front()].options();
    group.u = start_columns(count, out, seed, item++, options);
    group.v = start_columns(count, rest, seed, item++, options);
  }
}

at::Tensor SpectralPenalty::stacked(const Group& group, const std::vector<at::Tensor>& weights) {
  std::vector<at::Tensor> matrices;
  for (const std::size_t i : group.members) matrices.push_back(weights.at(i).flatten(1));
  return at::stack(matrices);
}

void SpectralPenalty::iterate(const std::vector<at::Tensor>& weights, int times) {
  const c10::NoGradGuard no_grad;
  for (Group& group : groups_) {
    const at::Tensor matrices = stacked(group, weights), transposed = matrices.transpose(1, 2);
    for (int i = 0; i < times; ++i) {
      group.v.copy_(normalised(at::bmm(transposed, group.u)));
      group.u.copy_(normalised(at::bmm(matrices, group.v)));
    }
  }
}

at::Tensor SpectralPenalty::sigmas(const Group& group, const std::vector<at::Tensor>& weights) {
  return (group.u * at::bmm(stacked(group, weights), group.v)).sum();
}

at::Tensor SpectralPenalty::value(const std::vector<at::Tensor>& weights) const {
  check(!groups_.empty(), ExitCode::kRuntime, "spectral penalty: this net has no convolutions");
  at::Tensor sum;
  for (const Group& group : groups_) {
    const at::Tensor sigma = sigmas(group, weights);
    sum = sum.defined() ? sum + sigma : sigma;
  }
  return sum;
}

void SpectralPenalty::backward(const std::vector<at::Tensor>& weights, const at::Tensor& gradient) const {
  const c10::AutoGradMode grad_on(true);
  for (const Group& group : groups_) torch::autograd::backward({sigmas(group, weights)}, {gradient});
}

std::vector<NamedTensor> SpectralPenalty::state(const std::string& prefix) const {
  std::vector<NamedTensor> out;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    out.push_back({fmt::format("{}.u.{}", prefix, g), groups_[g].u});
    out.push_back({fmt::format("{}.v.{}", prefix, g), groups_[g].v});
  }
  return out;
}

}  // namespace hebm::nets
