#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <algorithm>
#include <cmath>
#include <vector>
#include "base/error.h"
#include "evaluate/measure.h"

namespace hebm::evaluate {
namespace {

// x [n, F], y [m, F] -> [n, m]
at::Tensor kernel(const at::Tensor& x, const at::Tensor& y) {
  return at::matmul(x, y.t()).div_(static_cast<double>(x.size(1))).add_(1.0).pow_(3);
}

double mean_off_diagonal(const at::Tensor& x) {
  const at::Tensor k = kernel(x, x);
  const double n = static_cast<double>(x.size(0));
  return (k.sum().item<double>() - k.diagonal().sum().item<double>()) / (n * (n - 1.0));
}

void check_pair(const at::Tensor& x, const at::Tensor& y) {
  check_features(x, 2, "KID, first set");
  check_features(y, 2, "KID, second set");
  check(x.size(1) == y.size(1), ExitCode::kRuntime, "KID: the two sets have {} and {} features", x.size(1), y.size(1));
}

// Block `number` of `size` vectors; each permutation (visit) of the set has n / size blocks.
at::Tensor subset(const at::Tensor& features, std::int64_t size, std::int64_t number, RandomKey key) {
  const std::int64_t n = features.size(0), blocks = n / size;
  const std::int64_t first = (number % blocks) * size;
  at::Tensor index = at::empty({size}, at::TensorOptions().dtype(at::kLong));
  std::int64_t* out = index.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < size; ++i) {
    out[i] = static_cast<std::int64_t>(permute(static_cast<std::uint64_t>(first + i), static_cast<std::uint64_t>(n),
        key, static_cast<std::uint32_t>(number / blocks)));
  }
  return features.index_select(0, index).to(at::kDouble);
}

}  // namespace

double mmd_squared(const at::Tensor& x, const at::Tensor& y) {
  check_pair(x, y);
  const at::Tensor a = x.to(at::kDouble), b = y.to(at::kDouble);
  return mean_off_diagonal(a) + mean_off_diagonal(b) - 2.0 * kernel(a, b).mean().item<double>();
}

results::Score kernel_distance(const at::Tensor& real, const at::Tensor& generated, const KidOptions& options) {
  check_pair(real, generated);
  const std::int64_t count = options.num_subsets;
  check(options.subset_size >= 2 && count >= 1, ExitCode::kUsage,
      "KID: expected a subset size of at least 2 and at least 1 subset, got {} and {}", options.subset_size, count);
  const at::Tensor x = real.detach().cpu(), y = generated.detach().cpu();
  const std::int64_t smaller = std::min(x.size(0), y.size(0)), size = std::min(options.subset_size, smaller);
  RandomKey generated_key = options.key;
  generated_key.seed ^= 0x9e3779b97f4a7c15ull;  // other choices than for the real set, also where the sizes agree
  std::vector<double> values;
  results::Score out{0, 0};
  for (std::int64_t s = 0; s < count; ++s) {
    values.push_back(mmd_squared(subset(x, size, s, options.key), subset(y, size, s, generated_key)));
    out.value += values.back() / static_cast<double>(count);
  }
  if (count == 1) return out;
  double squares = 0;
  for (const double v : values) squares += (v - out.value) * (v - out.value);
  const std::int64_t disjoint = std::min(count, smaller / size);
  out.error = std::sqrt(squares / static_cast<double>(count - 1) / static_cast<double>(disjoint));
  return out;
}

namespace {

results::Score distance_to(const FeatureRows& reference, const ScoreInput& in) {
  return in.on_root([&] {
    return kernel_distance(reference.features, in.images.features, {.key = {in.seed, 0, Purpose::kSubset}});
  });
}

}  // namespace

template <> results::Score measure<results::score("kid")>(const ScoreInput& in) { return distance_to(in.real, in); }

template <> results::Score measure<results::score("kid_posterior")>(const ScoreInput& in) {
  return distance_to(in.posterior, in);
}

}  // namespace hebm::evaluate
