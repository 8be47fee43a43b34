#include "prior/label_heads.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include "base/error.h"

namespace hebm::prior {
namespace {

bool is_coupled(const LabelHead& head, std::size_t layer) {
  return std::ranges::find(head.layers, static_cast<std::int64_t>(layer)) != head.layers.end();
}

std::int64_t num_categories(const LabelHead& head) { return static_cast<std::int64_t>(head.categories.size()); }

}  // namespace

void check_layers(const std::vector<std::int64_t>& layers, std::int64_t num_layers, const std::string& whose) {
  const std::string given = fmt::format("layers = {}{}", fmt::join(layers, ","), whose);
  check(!layers.empty(), ExitCode::kUsage, "no layers{} are given; the VAE has layers 0 (top) to {}", whose,
      num_layers - 1);
  for (auto it = layers.begin(); it != layers.end(); ++it) {
    check(*it >= 0 && *it < num_layers, ExitCode::kUsage, "{}: there is no layer {}; the VAE has layers 0 (top) to {}",
        given, *it, num_layers - 1);
    check(std::find(layers.begin(), it, *it) == it, ExitCode::kUsage,
        "{}: layer {} is there twice; expected each layer once", given, *it);
  }
}

void check_heads(const LabelHeads& heads, std::int64_t num_layers) {
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const LabelHead& head = heads[h];
    for (std::size_t other = 0; other < h; ++other) {
      check(heads[other].name != head.name, ExitCode::kUsage, "labels: '{}' is there twice", head.name);
    }
    check(!head.categories.empty(), ExitCode::kUsage, "labels: '{}' has no categories", head.name);
    check_layers(head.layers, num_layers, fmt::format(" of '{}'", head.name));
    check(std::ranges::is_sorted(head.layers), ExitCode::kUsage, "layers = {} of '{}': expected ascending order",
        fmt::join(head.layers, ","), head.name);
  }
}

std::int64_t label_rows(const LabelHeads& heads, std::size_t layer) {
  std::int64_t rows = 0;
  for (const LabelHead& head : heads) rows += is_coupled(head, layer) ? num_categories(head) : 0;
  return rows;
}

std::size_t head_named(const LabelHeads& heads, const std::string& name) {
  const auto found = std::ranges::find(heads, name, &LabelHead::name);
  std::vector<std::string> names;
  for (const LabelHead& head : heads) names.push_back(head.name);
  check(
      found != heads.end(), ExitCode::kUsage, "there is no label '{}': the prior has {}", name, fmt::join(names, ", "));
  return static_cast<std::size_t>(found - heads.begin());
}

std::int64_t category_named(const LabelHead& head, const std::string& name) {
  const auto found = std::ranges::find(head.categories, name);
  check(found != head.categories.end(), ExitCode::kUsage, "'{}' is no category of '{}': it has {}", name, head.name,
      fmt::join(head.categories, ", "));
  return found - head.categories.begin();
}

std::vector<at::Tensor> head_values(const LabelHeads& heads, const std::vector<at::Tensor>& outputs) {
  std::vector<at::Tensor> out(heads.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    std::int64_t first = 0;
    for (std::size_t h = 0; h < heads.size(); ++h) {
      if (!is_coupled(heads[h], i)) continue;
      const at::Tensor g = outputs[i].narrow(1, first, num_categories(heads[h]));
      out[h] = out[h].defined() ? out[h] + g : g;
      first += num_categories(heads[h]);
    }
  }
  return out;
}

at::Tensor marginal_value(const at::Tensor& g, double s2) { return at::logsumexp(g / s2, {1}) * s2; }
at::Tensor log_probability(const at::Tensor& g, double s2) { return at::log_softmax(g / s2, 1); }

at::Tensor cross_entropy(const at::Tensor& g, double s2, const at::Tensor& category) {
  return -log_probability(g, s2).gather(1, category.unsqueeze(1)).squeeze(1);
}

at::Tensor guided_value(const at::Tensor& g, double s2, const at::Tensor& category, double guidance) {
  const at::Tensor marginal = marginal_value(g, s2);
  const at::Tensor chosen = g.gather(1, category.clamp_min(0).unsqueeze(1)).squeeze(1);
  return at::where(category.lt(0), marginal, marginal * (1.0 - guidance) + chosen * guidance);
}

}  // namespace hebm::prior
