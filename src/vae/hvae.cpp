// What the layers of the HVAE do. Options, architecture and parameters: hvae_build.cpp.
#include "vae/hvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/pixel_shuffle.h>
#include <ATen/ops/pixel_unshuffle.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>

namespace hebm::vae {

constexpr double kLogScaleBound = 4.0;  // soft clamp of the posterior's log scale in standard coordinates

at::Tensor ResBlock::operator()(const at::Tensor& x) const { return x + second(at::silu(first(at::silu(x)))); }

at::Tensor Hvae::start(std::int64_t count) const {
  return start_.expand({count, start_.size(1), start_.size(2), start_.size(3)})
      .contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor Hvae::enter(std::size_t i, const at::Tensor& s) const {
  if (i == 0) return s;
  return layers_[i].block(layers_[i].doubles ? at::upsample_nearest2d(s, {2 * s.size(2), 2 * s.size(3)}) : s);
}

LayerNormal Hvae::prior(std::size_t i, const at::Tensor& s) const {
  const auto parts = layers_[i].prior_head(at::silu(s)).chunk(2, 1);
  const at::Tensor log_sigma = soft_clamp(parts[1], kHvaeLogSigmaBound);  // b tanh(x / b), b = 2
  return {parts[0], log_sigma.exp(), log_sigma};
}

// Behind the bottom layer: what the image decoder sees.
at::Tensor Hvae::absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const {
  const at::Tensor injected = layers_[i].from_z(z);
  if (i + 1 < layers_.size()) return s + injected;
  const at::Tensor left = at::silu(options_.image_from == ImageFrom::kBottom ? injected : s + injected);
  return options_.image_sees_z ? at::cat({left, z}, 1) : left;
}

// The finest features come first; a layer sees those of its side.
std::vector<at::Tensor> Hvae::encode(const at::Tensor& x) const {
  std::vector<at::Tensor> features(groups().size());
  at::Tensor h = stem_(at::pixel_unshuffle(2.0 * x - 1.0, 2).contiguous(at::MemoryFormat::ChannelsLast));
  for (std::size_t r = 0; r < encoder_blocks_.size(); ++r) {
    h = encoder_blocks_[r](encoder_downs_[r](at::silu(h)));
    for (std::size_t i = 0; i < features.size(); ++i) {
      if (h.size(2) == groups()[i].height) features[i] = h;
    }
  }
  return features;
}

LayerDraw Hvae::draw(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const {
  const auto q = layers_[i].posterior_head(at::silu(at::cat({feature, s}, 1))).chunk(2, 1);
  const at::Tensor log_scale = soft_clamp(q[1], kLogScaleBound);
  LayerDraw out;
  out.u = out.z = q[0] + log_scale.exp() * eps;
  out.kl = 0.5 * (q[0].square() + (2.0 * log_scale).exp() - 1.0) - log_scale;
  if (i > 0) {
    const LayerNormal p = prior(i, s);
    out.z = p.mu + p.sigma * out.u;
  }
  return out;
}

at::Tensor Hvae::image(const at::Tensor& s) const {
  at::Tensor h = tail_blocks_[0](to_image_(s));
  for (std::size_t r = 0; r < tail_ups_.size(); ++r) {
    const nets::Conv& up = tail_ups_[r];
    h = tail_blocks_[r + 1](at::conv_transpose2d(at::silu(h), up.weight, up.bias, {2, 2}, {1, 1}));
  }
  const at::Tensor made = at::pixel_shuffle(out_(at::silu(h)), 2);
  return log_scale_.defined() ? at::cat({made, log_scale_.expand_as(made)}, 1) : made;
}

}  // namespace hebm::vae
