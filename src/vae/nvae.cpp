#include "vae/nvae.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "vae/nvae_frozen.h"

namespace hebm::vae {
namespace {

constexpr double kClamp = 5.0;  // soft clamp of mu and log sigma
constexpr double kSigmaOffset = 0.01;
constexpr double kTopSigma = 1.0 + kSigmaOffset;  // the top layer's raw log sigma is 0

at::Tensor soft_clamp(const at::Tensor& x) { return at::tanh(x / kClamp) * kClamp; }

at::Tensor sum_of_layer(const at::Tensor& x) { return x.flatten(1).sum(1); }  // [B, c, h, w] -> [B]

}  // namespace

Nvae::Normal Nvae::normal_of(const Raw& raw) {
  return {soft_clamp(raw.mu), soft_clamp(raw.log_sigma).exp() + kSigmaOffset};
}

at::Tensor Nvae::start_of(std::int64_t count) const { return start_.unsqueeze(0).expand({count, -1, -1, -1}); }

at::Tensor Nvae::before_layer(std::size_t i, const at::Tensor& s, const Pass& pass) const {
  const NvaeLayer& layer = latent_layers_[i];
  at::Tensor h = layer.up ? (*layer.up)(s, pass) : s;
  for (const auto& cell : layer.cells) h = cell(h, pass);
  return h;
}

at::Tensor Nvae::after_layer(std::size_t i, const at::Tensor& s, const at::Tensor& z, const Pass& pass) const {
  return pass.conv(latent_layers_[i].combine, at::cat({s, z}, 1));
}

Nvae::Raw Nvae::prior_of(std::size_t i, const at::Tensor& s, const Pass& pass) const {
  const auto parts = pass.conv(latent_layers_[i].prior, at::elu(s)).chunk(2, 1);
  return {parts[0], parts[1]};
}

// ---- frozen
// ------------------------------------------------------------------------------------------

Nvae::~Nvae() = default;

// Every change in place of a parameter or state, through whichever view, counts up its storage's
// version: a changed net is folded again.
std::shared_ptr<const NvaeFrozen> Nvae::frozen() const {
  if (!wants_frozen_ || params_.dtype() != at::kFloat || params_.device() != at::kCPU) return nullptr;
  std::uint64_t version = params_.flat()._version();
  for (const auto& state : params_.states()) version += state.tensor._version();
  const std::lock_guard lock(frozen_mutex_);
  if (!frozen_ || version != frozen_version_) {
    frozen_.reset();
    frozen_ = std::make_shared<const NvaeFrozen>(*this);
    frozen_version_ = version;
  }
  return frozen_;
}

// ---- Eq. 15: u -> z and back
// ----------------------------------------------------------------------------------------

std::vector<at::Tensor> Nvae::transport(const at::Tensor& u) const {
  if (const auto net = frozen(); net && u.scalar_type() == at::kFloat && u.is_cpu()) return net->transport(u);
  return transport(u, Pass{}).z;
}

Transported Nvae::transport(const at::Tensor& u, const Pass& pass) const {
  const auto parts = split_layers(u, groups_);
  Transported out;
  out.z.push_back(kTopSigma * parts[0]);
  out.log_sigma_sum = at::full({u.size(0)}, std::log(kTopSigma) * static_cast<double>(groups_[0].size()), u.options());
  at::Tensor s = start_of(u.size(0));
  for (std::size_t i = 1; i < latent_layers_.size(); ++i) {
    s = before_layer(i, after_layer(i - 1, s, out.z.back(), pass), pass);
    const Normal p = normal_of(prior_of(i, s, pass));
    out.z.push_back(p.mu + p.sigma * parts[i]);
    out.log_sigma_sum = out.log_sigma_sum + sum_of_layer(p.sigma.log());
  }
  return out;
}

at::Tensor Nvae::inverse(const std::vector<at::Tensor>& z) const {
  const Pass pass;
  std::vector<at::Tensor> u = {z[0] / kTopSigma};
  at::Tensor s = start_of(z[0].size(0));
  for (std::size_t i = 1; i < latent_layers_.size(); ++i) {
    s = before_layer(i, after_layer(i - 1, s, z[i - 1], pass), pass);
    const Normal p = normal_of(prior_of(i, s, pass));
    u.push_back((z[i] - p.mu) / p.sigma);
  }
  return join_layers(u);
}

// ---- posterior
// ------------------------------------------------------------------------------------------

std::vector<at::Tensor> Nvae::encode(const at::Tensor& x, const Pass& pass) const {
  at::Tensor h = pass.conv(stem_, 2.0 * x - 1.0);
  for (const auto& cell : preprocess_) h = cell(h, pass);
  std::vector<at::Tensor> features(encoder_.size());
  for (std::size_t g = 0; g < encoder_.size(); ++g) {
    if (encoder_[g].down) h = (*encoder_[g].down)(h, pass);
    for (const auto& cell : encoder_[g].cells) h = cell(h, pass);
    features[encoder_.size() - 1 - g] = h;
  }
  features[0] = at::elu(pass.conv(top_feature_, at::elu(features[0])));
  return features;
}

Nvae::Raw Nvae::posterior_of(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const Raw& prior,
                             const Pass& pass) const {
  const NvaeLayer& layer = latent_layers_[i];
  const at::Tensor seen = i == 0 ? feature : feature + pass.conv(layer.encoder_combine, s);
  const auto parts = pass.conv(layer.posterior, seen).chunk(2, 1);
  if (i == 0 || !options_.res_dist) return {parts[0], parts[1]};
  return {prior.mu + parts[0], prior.log_sigma + parts[1]};
}

Posterior Nvae::posterior(const at::Tensor& x, const at::Tensor& noise, const Pass& pass) const {
  const auto features = encode(x, pass);
  const auto eps = split_layers(noise, groups_);
  Posterior out;
  std::vector<at::Tensor> u;
  at::Tensor s = start_of(x.size(0));
  for (std::size_t i = 0; i < latent_layers_.size(); ++i) {
    s = before_layer(i, s, pass);
    const Raw raw = i == 0 ? Raw{} : prior_of(i, s, pass);
    const Normal q = normal_of(posterior_of(i, features[i], s, raw, pass));
    const Normal p = i == 0 ? Normal{at::zeros_like(q.mu), at::full_like(q.sigma, kTopSigma)} : normal_of(raw);
    at::Tensor z = q.mu + q.sigma * eps[i];
    for (const auto& flow : latent_layers_[i].flows) z = flow(z, pass);
    u.push_back((z - p.mu) / p.sigma);
    out.z.push_back(z);
    const at::Tensor log_ratio = (p.sigma / q.sigma).log();
    // A flow changes the density's shape but no volume: then KL is log q(z before) - log p(z after)
    // at this draw, else the closed form.
    const at::Tensor kl =
        latent_layers_[i].flows.empty()
            ? 0.5 * (((q.mu - p.mu) / p.sigma).square() + (q.sigma / p.sigma).square() - 1.0) + log_ratio
            : 0.5 * (u.back().square() - eps[i].square()) + log_ratio;
    out.kl.push_back(sum_of_layer(kl));
    s = after_layer(i, s, z, pass);
  }
  out.u = join_layers(u);
  out.state = s;
  return out;
}

// ---- decoder
// ------------------------------------------------------------------------------------------

at::Tensor Nvae::decode(const at::Tensor& u, double temperature, const Pass& pass) const {
  const auto parts = split_layers(u, groups_);
  at::Tensor s = start_of(u.size(0));
  for (std::size_t i = 0; i < latent_layers_.size(); ++i) {
    s = before_layer(i, s, pass);
    at::Tensor z;
    if (i == 0) {
      z = (kTopSigma * temperature) * parts[i];
    } else {
      const Normal p = normal_of(prior_of(i, s, pass));
      z = p.mu + (temperature * p.sigma) * parts[i];
    }
    s = after_layer(i, s, z, pass);
  }
  return decode_tail(s, pass);
}

at::Tensor Nvae::decode_tail(const at::Tensor& state, const Pass& pass) const {
  at::Tensor h = state;
  for (const auto& cell : postprocess_) h = cell(h, pass);
  return pass.conv(out_, at::elu(h));
}

at::Tensor Nvae::log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const {
  return vae::log_likelihood(likelihood_, parameters, x);
}
at::Tensor Nvae::mean_image(const at::Tensor& parameters) const { return vae::mean_image(likelihood_, parameters); }
at::Tensor Nvae::sample_image(const at::Tensor& parameters, const at::Tensor& noise) const {
  return vae::sample_image(likelihood_, parameters, noise);
}
std::int64_t Nvae::sample_channels() const { return likelihood_.sample_channels(); }

}  // namespace hebm::vae
