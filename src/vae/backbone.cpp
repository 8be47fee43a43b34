#include "vae/backbone.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <cmath>

namespace hebm::vae {
namespace {

at::Tensor sum_of_layer(const at::Tensor& x) { return x.flatten(1).sum(1); }  // [B, c, h, w] -> [B]

}  // namespace

std::vector<at::Tensor> split_layers(const at::Tensor& u, const std::vector<LatentShape>& groups) {
  std::vector<at::Tensor> out;
  std::int64_t at = 0;
  for (const auto& g : groups) {
    out.push_back(u.narrow(1, at, g.size()).reshape({u.size(0), g.channels, g.height, g.width}));
    at += g.size();
  }
  return out;
}

at::Tensor join_layers(const std::vector<at::Tensor>& layers) {
  std::vector<at::Tensor> flat;
  for (const auto& layer : layers) flat.push_back(layer.flatten(1));
  return at::cat(flat, 1);
}

std::int64_t Backbone::dim() const {
  std::int64_t total = 0;
  for (const auto& g : groups()) total += g.size();
  return total;
}

std::unique_ptr<BatchStatistics> Backbone::batch_statistics(const nets::SumOverRanks&, std::uint64_t) const {
  return nullptr;
}

void Backbone::count_transport(const at::Tensor& weight, std::int64_t side) {
  if (!weight.defined()) return;
  transport_flop_ += 2.0 * static_cast<double>(weight.numel() * side * side);
  transport_weights_ += weight.numel();
}

// Every change in place of a parameter or state, through whichever view, counts up its storage's
// version: a changed net is prepared again.
std::shared_ptr<const FrozenPath> Backbone::frozen(nets::Precision precision) const {
  if (!wants_frozen_ || params().dtype() != at::kFloat || params().device() != at::kCPU) return nullptr;
  std::uint64_t version = params().flat()._version();
  for (const auto& state : params().states()) version += state.tensor._version();
  const std::lock_guard lock(frozen_mutex_);
  const at::ScalarType type = nets::type_of_products(precision);
  Frozen& frozen = frozen_[type];
  if (!frozen.path || version != frozen.version) frozen = {frozen_path(type), version};
  return frozen.path;
}

std::vector<at::Tensor> Backbone::transport(const at::Tensor& u, nets::Precision precision) const {
  if (const auto path = frozen(precision); path && u.scalar_type() == at::kFloat && u.is_cpu())
    return path->transport(u);
  return vae::transport(layers(), split_layers(u, groups()), shape_.top_sigma);
}

Transported Backbone::transport_with_scale(const at::Tensor& u) const {
  Transported out{vae::transport(layers(), split_layers(u, groups()), shape_.top_sigma), {}};
  const double of_top = std::log(shape_.top_sigma) * static_cast<double>(groups()[0].size());
  out.log_sigma_sum = at::full({u.size(0)}, of_top, u.options());
  descend(layers(), out.z.size(), u.size(0), Last::kEntered, [&](std::size_t i, const at::Tensor& s) {
    if (i == 0) return out.z[0];
    const LayerNormal p = layers().prior(i, s);
    out.log_sigma_sum = out.log_sigma_sum + sum_of_layer(p.log_sigma.defined() ? p.log_sigma : p.sigma.log());
    return out.z[i];
  });
  return out;
}

at::Tensor Backbone::inverse(const std::vector<at::Tensor>& z) const {
  std::vector<at::Tensor> u;
  descend(layers(), z.size(), z[0].size(0), Last::kEntered, [&](std::size_t i, const at::Tensor& s) {
    if (i == 0) {
      u.push_back(shape_.top_sigma == 1.0 ? z[0] : z[0] / shape_.top_sigma);
    } else {
      const LayerNormal p = layers().prior(i, s);
      u.push_back((z[i] - p.mu) / p.sigma);
    }
    return z[i];
  });
  return join_layers(u);
}

Posterior Backbone::posterior(const TopDownLayers& layers, const at::Tensor& x, const at::Tensor& noise) const {
  auto features = layers.encode(x);
  const auto eps = split_layers(noise, groups());
  Posterior out;
  std::vector<at::Tensor> u;
  out.state = descend(layers, eps.size(), x.size(0), Last::kAbsorbed, [&](std::size_t i, at::Tensor& s) {
    const LayerDraw q = layers.draw(i, features[i], s, eps[i]);
    features[i].reset();
    if (q.s.defined()) s = q.s;
    u.push_back(q.u);
    out.kl.push_back(sum_of_layer(q.kl));
    return out.z.emplace_back(q.z);
  });
  out.u = join_layers(u);
  return out;
}

at::Tensor Backbone::decode(const TopDownLayers& layers, const at::Tensor& u, double temperature) const {
  const auto parts = split_layers(u, groups());
  return layers.image(
      descend(layers, parts.size(), u.size(0), Last::kAbsorbed, [&](std::size_t i, const at::Tensor& s) {
        if (i == 0) return times(shape_.top_sigma * temperature, parts[0]);
        const LayerNormal p = layers.prior(i, s);
        return p.mu + times(temperature, p.sigma) * parts[i];
      }));
}

}  // namespace hebm::vae
