#include "vae/nvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>
#include <nlohmann/json.hpp>
#include "vae/nvae_frozen.h"
#include "vae/nvae_training.h"

namespace hebm::vae {

LayerNormal NvaeRun::normal_of(const Raw& raw) {
  return {soft_clamp(raw.mu, kNvaeClamp), soft_clamp(raw.log_sigma, kNvaeClamp).exp() + kNvaeSigmaOffset, {}};
}

at::Tensor NvaeRun::enter(std::size_t i, const at::Tensor& s) const {
  const NvaeLayer& layer = parts_.layers[i];
  at::Tensor h = layer.up ? (*layer.up)(s, pass_) : s;
  for (const auto& cell : layer.cells) h = cell(h, pass_);
  return h;
}

at::Tensor NvaeRun::absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const {
  return pass_.conv(parts_.layers[i].combine, at::cat({s, z}, 1));
}

NvaeRun::Raw NvaeRun::raw_prior(std::size_t i, const at::Tensor& s) const {
  const auto raw = pass_.conv(parts_.layers[i].prior, at::elu(s)).chunk(2, 1);
  return {raw[0], raw[1]};
}

LayerNormal NvaeRun::prior(std::size_t i, const at::Tensor& s) const { return normal_of(raw_prior(i, s)); }

std::vector<at::Tensor> NvaeRun::encode(const at::Tensor& x) const {
  at::Tensor h = pass_.conv(parts_.stem, 2.0 * x - 1.0);
  for (const auto& cell : parts_.preprocess) h = cell(h, pass_);
  std::vector<at::Tensor> features(parts_.encoder.size());
  for (std::size_t g = 0; g < features.size(); ++g) {
    if (parts_.encoder[g].down) h = (*parts_.encoder[g].down)(h, pass_);
    for (const auto& cell : parts_.encoder[g].cells) h = cell(h, pass_);
    features[features.size() - 1 - g] = h;
  }
  features[0] = at::elu(pass_.conv(parts_.top_feature, at::elu(features[0])));
  return features;
}

LayerDraw NvaeRun::draw(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const {
  const NvaeLayer& layer = parts_.layers[i];
  const Raw of_prior = i == 0 ? Raw{} : raw_prior(i, s);
  const at::Tensor seen = i == 0 ? feature : feature + pass_.conv(layer.encoder_combine, s);
  const auto raw = pass_.conv(layer.posterior, seen).chunk(2, 1);
  const bool residual = i > 0 && parts_.res_dist;
  const LayerNormal q =
      normal_of(residual ? Raw{of_prior.mu + raw[0], of_prior.log_sigma + raw[1]} : Raw{raw[0], raw[1]});
  const LayerNormal p =
      i == 0 ? LayerNormal{at::zeros_like(q.mu), at::full_like(q.sigma, kNvaeTopSigma), {}} : normal_of(of_prior);
  LayerDraw out;
  out.z = q.mu + q.sigma * eps;
  for (const auto& flow : layer.flows) out.z = flow(out.z, pass_);
  out.u = (out.z - p.mu) / p.sigma;
  // A flow changes the density's shape but no volume: then KL is log q(z before) - log p(z after)
  // at this draw, else the closed form.
  const at::Tensor log_ratio = (p.sigma / q.sigma).log();
  out.kl = layer.flows.empty()
               ? 0.5 * (((q.mu - p.mu) / p.sigma).square() + (q.sigma / p.sigma).square() - 1.0) + log_ratio
               : 0.5 * (out.u.square() - eps.square()) + log_ratio;
  return out;
}

at::Tensor NvaeRun::image(const at::Tensor& s) const {
  at::Tensor h = s;
  for (const auto& cell : parts_.postprocess) h = cell(h, pass_);
  return pass_.conv(parts_.out, at::elu(h));
}

Nvae::~Nvae() = default;

// Every change in place of a parameter or state, through whichever view, counts up its storage's
// version: a changed net is folded again.
std::shared_ptr<const NvaeFrozen> Nvae::frozen() const {
  if (!wants_frozen_ || params().dtype() != at::kFloat || params().device() != at::kCPU) return nullptr;
  std::uint64_t version = params().flat()._version();
  for (const auto& state : params().states()) version += state.tensor._version();
  const std::lock_guard lock(frozen_mutex_);
  if (!frozen_ || version != frozen_version_) {
    frozen_.reset();
    frozen_ = std::make_shared<const NvaeFrozen>(*this);
    frozen_version_ = version;
  }
  return frozen_;
}

std::vector<at::Tensor> Nvae::transport(const at::Tensor& u) const {
  if (const auto net = frozen(); net && u.scalar_type() == at::kFloat && u.is_cpu()) return net->transport(u);
  return TopDownBackbone::transport(u);
}

std::string Nvae::architecture() const { return options_.architecture().dump(); }

std::unique_ptr<BatchStatistics> Nvae::batch_statistics(nets::SumOverRanks sum, std::uint64_t seed) const {
  return std::make_unique<NvaeTraining>(*this, std::move(sum), seed);
}

}  // namespace hebm::vae
