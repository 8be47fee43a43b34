#include "nets/spectral_penalty.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include "base/error.h"

namespace hebm::nets {
namespace {

constexpr double kEps = 1e-3;

// columns [n, m, 1]: each divided by max(its norm, eps).
at::Tensor normalised(const at::Tensor& columns) { return columns / columns.norm(2, {1}, true).clamp_min(kEps); }

at::Tensor start_columns(
    std::int64_t count, std::int64_t size, std::uint64_t seed, std::uint32_t item, const at::TensorOptions& options) {
  const at::Tensor out = at::empty({count, size, 1}, at::kFloat);
  fill_normal(
      {out.data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {seed, 0, Purpose::kSpectral}, {.item = item});
  return normalised(out.to(options));
}

}  // namespace

SpectralPenalty::SpectralPenalty(const std::vector<at::Tensor>& weights, std::uint64_t seed) {
  const c10::NoGradGuard no_grad;
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::pair shape{weights[i].size(0), weights[i].numel() / weights[i].size(0)};
    std::size_t g = 0;
    while (g < shapes.size() && shapes[g] != shape) ++g;
    if (g == shapes.size()) {
      shapes.push_back(shape);
      groups_.emplace_back();
    }
    groups_[g].members.push_back(i);
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto count = static_cast<std::int64_t>(groups_[g].members.size());
    const auto options = weights[groups_[g].members[0]].options();
    const auto item = static_cast<std::uint32_t>(2 * g);
    groups_[g].u = start_columns(count, shapes[g].first, seed, item, options);
    groups_[g].v = start_columns(count, shapes[g].second, seed, item + 1, options);
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

at::Tensor SpectralPenalty::value(const std::vector<at::Tensor>& weights) const {
  check(!groups_.empty(), ExitCode::kRuntime, "spectral penalty: this net has no convolutions");
  at::Tensor sum;
  for (const Group& group : groups_) {
    const at::Tensor sigma = (group.u * at::bmm(stacked(group, weights), group.v)).sum();
    sum = sum.defined() ? sum + sigma : sigma;
  }
  return sum;
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
