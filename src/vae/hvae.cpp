#include "vae/hvae.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/pixel_shuffle.h>
#include <ATen/ops/pixel_unshuffle.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr double kLogSigmaBound = 2.0;  // soft clamp of the prior's log sigma
constexpr double kLogScaleBound = 4.0;  // and of the posterior's log scale in standard coordinates

at::Tensor soft_clamp(const at::Tensor& x, double bound) { return at::tanh(x / bound) * bound; }

at::Tensor double_side(const at::Tensor& x) { return at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}); }

}  // namespace

at::Tensor ResBlock::operator()(const at::Tensor& x) const { return x + second(at::silu(first(at::silu(x)))); }

at::Tensor Hvae::start(std::int64_t count) const {
  return start_.expand({count, start_.size(1), start_.size(2), start_.size(3)});
}

at::Tensor Hvae::before_layer(std::size_t i, const at::Tensor& s) const {
  if (i == 0) return s;
  return layers_[i].block(layers_[i].doubles ? double_side(s) : s);
}

at::Tensor Hvae::after_layer(std::size_t i, const at::Tensor& s, const at::Tensor& z) const {
  const bool bottom_alone = i + 1 == layers_.size() && options_.image_from == "bottom";
  const at::Tensor injected = layers_[i].from_z(z);
  return bottom_alone ? injected : s + injected;
}

Hvae::Prior Hvae::prior_of(std::size_t i, const at::Tensor& s) const {
  const auto parts = layers_[i].prior_head(at::silu(s)).chunk(2, 1);
  const at::Tensor log_sigma = soft_clamp(parts[1], kLogSigmaBound);
  return {parts[0], log_sigma.exp(), log_sigma};
}

std::vector<at::Tensor> Hvae::transport(const at::Tensor& u) const { return transport_with_scale(u).z; }

Transported Hvae::transport_with_scale(const at::Tensor& u) const {
  const auto parts = split_layers(u, groups_);
  Transported out;
  at::Tensor s = start(u.size(0));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (i == 0) {
      out.z.push_back(parts[0]);
    } else {
      s = before_layer(i, after_layer(i - 1, s, out.z.back()));
      const Prior p = prior_of(i, s);
      out.z.push_back(p.mu + p.sigma * parts[i]);
      const at::Tensor sum = p.log_sigma.flatten(1).sum(1);
      out.log_sigma_sum = out.log_sigma_sum.defined() ? out.log_sigma_sum + sum : sum;
    }
  }
  if (!out.log_sigma_sum.defined()) out.log_sigma_sum = at::zeros({u.size(0)}, u.options());
  return out;
}

at::Tensor Hvae::inverse(const std::vector<at::Tensor>& z) const {
  std::vector<at::Tensor> u = {z[0]};
  at::Tensor s = start(z[0].size(0));
  for (std::size_t i = 1; i < layers_.size(); ++i) {
    s = before_layer(i, after_layer(i - 1, s, z[i - 1]));
    const Prior p = prior_of(i, s);
    u.push_back((z[i] - p.mu) / p.sigma);
  }
  return join_layers(u);
}

std::vector<at::Tensor> Hvae::encode(const at::Tensor& x) const {
  std::vector<at::Tensor> features;  // fine to coarse
  at::Tensor h = stem_(at::pixel_unshuffle(2.0 * x - 1.0, 2));
  for (std::size_t r = 0; r < encoder_blocks_.size(); ++r) {
    h = encoder_blocks_[r](encoder_downs_[r](at::silu(h)));
    features.push_back(h);
  }
  return features;
}

Posterior Hvae::posterior(const at::Tensor& x, const at::Tensor& noise) const {
  const auto features = encode(x);
  const auto eps = split_layers(noise, groups_);
  Posterior out;
  std::vector<at::Tensor> u;
  at::Tensor s = start(x.size(0));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    s = before_layer(i, s);
    at::Tensor feature;
    for (const auto& f : features) {
      if (f.size(2) == groups_[i].height) feature = f;
    }
    const auto q = layers_[i].posterior_head(at::silu(at::cat({feature, s}, 1))).chunk(2, 1);
    const at::Tensor log_scale = soft_clamp(q[1], kLogScaleBound);
    u.push_back(q[0] + log_scale.exp() * eps[i]);
    out.kl.push_back((0.5 * (q[0].square() + (2.0 * log_scale).exp() - 1.0) - log_scale).flatten(1).sum(1));
    if (i == 0) {
      out.z.push_back(u[0]);
    } else {
      const Prior p = prior_of(i, s);
      out.z.push_back(p.mu + p.sigma * u[i]);
    }
    s = after_layer(i, s, out.z[i]);
  }
  out.u = join_layers(u);
  out.state = s;
  return out;
}

at::Tensor Hvae::tail(const at::Tensor& s) const {
  at::Tensor h = tail_blocks_[0](to_image_(at::silu(s)));
  for (std::size_t r = 0; r < tail_ups_.size(); ++r) {
    const nets::Conv& up = tail_ups_[r];
    h = tail_blocks_[r + 1](at::conv_transpose2d(at::silu(h), up.weight, up.bias, {2, 2}, {1, 1}));
  }
  return at::pixel_shuffle(out_(at::silu(h)), 2);
}

at::Tensor Hvae::decode(const at::Tensor& u, double temperature) const {
  const auto parts = split_layers(u, groups_);
  at::Tensor s = start(u.size(0));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    s = before_layer(i, s);
    at::Tensor z = temperature * parts[i];
    if (i > 0) {
      const Prior p = prior_of(i, s);
      z = p.mu + p.sigma * z;
    }
    s = after_layer(i, s, z);
  }
  return tail(s);
}

at::Tensor Hvae::decode_posterior(const Posterior& posterior) const { return tail(posterior.state); }

at::Tensor Hvae::log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const {
  return vae::log_likelihood(likelihood_, parameters, x);
}
at::Tensor Hvae::mean_image(const at::Tensor& parameters) const { return vae::mean_image(likelihood_, parameters); }
at::Tensor Hvae::sample_image(const at::Tensor& parameters, const at::Tensor& noise) const {
  return vae::sample_image(likelihood_, parameters, noise);
}
std::int64_t Hvae::sample_channels() const { return likelihood_.sample_channels(); }

}  // namespace hebm::vae
