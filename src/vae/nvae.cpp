#include "vae/nvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include "vae/nvae_frozen_pass.h"
#include "vae/nvae_training.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kDecoderExpansion = 6, kPostExpansion = 3;

Backbone::Shape shape_of(const NvaeOptions& o) {
  std::vector<LatentShape> groups;
  for (const auto& scale : nvae_scales(o)) {
    groups.insert(groups.end(), static_cast<std::size_t>(scale.groups), LatentShape{o.latents, scale.side, scale.side});
  }
  return {{o.image_channels, o.side, o.side},
      {LikelihoodKind(o.likelihood), o.image_channels, o.mixtures, o.bits, o.crop}, std::move(groups), kNvaeTopSigma};
}

// The cell stays where it is.
at::Tensor through(const auto& cell, const at::Tensor& x, const Pass& pass) {
  return pass.part([&cell](const Pass& p, const Tensors& in) -> Tensors { return {cell(in[0], p)}; }, {x})[0];
}

// The same where something else reads x too: that takes the x that comes out, and its gradient
// arrives before the cell's.
at::Tensor through_shared(const auto& cell, at::Tensor& x, const Pass& pass) {
  const Tensors out = pass.part(
      [&cell](const Pass& p, const Tensors& in) -> Tensors {
        return {cell(in[0], p), in[0]};
      },
      {x});
  x = out[1];
  return out[0];
}

}  // namespace

LayerNormal NvaeRun::normal_of(const Raw& raw) {
  return {soft_clamp(raw.mu, kNvaeClamp), soft_clamp(raw.log_sigma, kNvaeClamp).exp() + kNvaeSigmaOffset, {}};
}

at::Tensor NvaeRun::enter(std::size_t i, const at::Tensor& s) const {
  const NvaeLayer& layer = parts_.layers[i];
  at::Tensor h = layer.up ? through(*layer.up, s, pass_) : s;
  for (const auto& cell : layer.cells) h = through(cell, h, pass_);
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
  for (const auto& cell : parts_.preprocess) h = through(cell, h, pass_);
  std::vector<at::Tensor> features(parts_.encoder.size());
  for (std::size_t g = 0; g < features.size(); ++g) {
    const auto& [down, cells] = parts_.encoder[g];
    at::Tensor* const seen = g > 0 ? &features[features.size() - g] : &h;  // by a layer's draw
    h = down ? through_shared(*down, *seen, pass_) : through_shared(cells.front(), *seen, pass_);
    for (std::size_t n = down ? 0 : 1; n < cells.size(); ++n) h = through(cells[n], h, pass_);
    features[features.size() - 1 - g] = h;
  }
  features[0] = at::elu(pass_.conv(parts_.top_feature, at::elu(features[0])));
  return features;
}

LayerDraw NvaeRun::draw(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const {
  const NvaeParts& parts = parts_;
  const Tensors out = pass_.part(
      [&parts, i](const Pass& pass, const Tensors& in) -> Tensors {
        const LayerDraw q = NvaeRun(parts, pass).drawn(i, in[0], in[1], in[2]);
        return {q.z, q.u, q.kl, in[1]};
      },
      {feature, s, eps});
  return {out[0], out[1], out[2], out[3]};
}

LayerDraw NvaeRun::drawn(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const {
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
  for (const auto& cell : parts_.postprocess) h = through(cell, h, pass_);
  return pass_.conv(parts_.out, at::elu(h));
}

Nvae::Nvae(const NvaeOptions& options, const ImageShape& image, const BackboneBuild& build)
    : Backbone(shape_of(options.resolved(image)),
          nets::Parameters(build.seed, 1, build.dtype, build.device, build.max_values)),
      options_(options.resolved(image)),
      scales_(nvae_scales(options_)),
      modules_(params()) {
  parts_.layers.resize(groups().size());
  parts_.encoder.resize(groups().size());
  parts_.res_dist = options_.res_dist;
  const NvaeScale& top = scales_.front();
  parts_.start = params().add("prior_ftr0", {top.decoder_channels, top.side, top.side}, nets::Init::kUniformFanIn,
      0.5 * static_cast<double>(top.side));
  {
    const c10::NoGradGuard no_grad;
    parts_.start.add_(0.5);  // U[0, 1)
  }
  build_encoder();
  build_samplers();
  build_decoder();
  count_flop();
  params().flatten();
}

void Nvae::build_encoder() {
  parts_.stem = modules_.conv("stem", {.in = options_.image_channels, .out = options_.encoder_channels, .kernel = 3});
  std::int64_t channels = options_.encoder_channels;
  for (std::int64_t n = 0; n < options_.preprocess_blocks * options_.preprocess_cells; ++n) {
    const bool down = (n + 1) % options_.preprocess_cells == 0;
    parts_.preprocess.push_back(
        make_res_cell(modules_, "pre_process." + std::to_string(n), channels, down, options_.use_se));
    if (down) channels *= 2;
  }
  std::size_t g = 0, module = 0;
  const auto next = [&] { return "enc_tower." + std::to_string(module++); };
  for (auto scale = scales_.rbegin(); scale != scales_.rend(); ++scale) {
    for (std::int64_t k = 0; k < scale->groups; ++k, ++g) {
      if (k == 0 && g > 0)
        parts_.encoder[g].down = make_res_cell(modules_, next(), scale->encoder_channels / 2, true, options_.use_se);
      for (std::int64_t c = 0; c < options_.encoder_cells; ++c) {
        parts_.encoder[g].cells.push_back(
            make_res_cell(modules_, next(), scale->encoder_channels, false, options_.use_se));
      }
      if (g + 1 == parts_.encoder.size()) break;  // layer 0 has no s to combine with
      parts_.layers[parts_.encoder.size() - 1 - g].encoder_combine =
          modules_.conv(next() + ".conv", {.in = scale->decoder_channels, .out = scale->encoder_channels});
    }
  }
  const std::int64_t top = scales_.front().encoder_channels;
  parts_.top_feature = modules_.conv("enc0.1", {.in = top, .out = top});
}

void Nvae::build_samplers() {
  std::size_t i = 0;
  for (const auto& scale : scales_) {
    for (std::int64_t k = 0; k < scale.groups; ++k, ++i) {
      NvaeLayer& layer = parts_.layers[i];
      layer.posterior = modules_.conv(
          "enc_sampler." + std::to_string(i), {.in = scale.encoder_channels, .out = 2 * options_.latents, .kernel = 3});
      if (i > 0) {
        layer.prior = modules_.conv(
            "dec_sampler." + std::to_string(i - 1) + ".1", {.in = scale.decoder_channels, .out = 2 * options_.latents});
      }
      for (std::int64_t f = 0; f < options_.flows; ++f) {
        const auto number = static_cast<std::int64_t>(i) * options_.flows + f;
        layer.flows.push_back(make_flow_pair(modules_, "nf_cells." + std::to_string(number), options_.latents));
      }
    }
  }
}

void Nvae::build_decoder() {
  std::size_t i = 0, module = 0;
  const auto next = [&] { return "dec_tower." + std::to_string(module++); };
  for (const auto& scale : scales_) {
    for (std::int64_t k = 0; k < scale.groups; ++k, ++i) {
      NvaeLayer& layer = parts_.layers[i];
      const std::int64_t c = scale.decoder_channels;
      if (k == 0 && i > 0) layer.up = make_mb_cell(modules_, next(), 2 * c, true, kDecoderExpansion, options_.use_se);
      for (std::int64_t n = 0; i > 0 && n < options_.decoder_cells; ++n) {
        layer.cells.push_back(make_mb_cell(modules_, next(), c, false, kDecoderExpansion, options_.use_se));
      }
      layer.combine = modules_.conv(next() + ".conv", {.in = c + options_.latents, .out = c});
    }
  }
  std::int64_t channels = scales_.back().decoder_channels;
  for (std::int64_t n = 0; n < options_.postprocess_blocks * options_.postprocess_cells; ++n) {
    const bool up = n % options_.postprocess_cells == 0;
    parts_.postprocess.push_back(
        make_mb_cell(modules_, "post_process." + std::to_string(n), channels, up, kPostExpansion, options_.use_se));
    if (up) channels /= 2;
  }
  parts_.out = modules_.conv("image_conditional.1", {.in = channels, .out = likelihood().channels(), .kernel = 3});
}

void Nvae::count_flop() {
  const auto count = [&](const MbCell& cell, std::int64_t side) {
    for (const auto* conv : {&cell.skip, &cell.expand, &cell.depthwise, &cell.project}) {
      count_transport(conv->weight, side);
    }
  };
  for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
    const NvaeLayer& layer = parts_.layers[i];
    const std::int64_t side = groups()[i].height;
    if (layer.up) count(*layer.up, side);
    for (const auto& cell : layer.cells) count(cell, side);
    count_transport(layer.prior.weight, side);
    if (i + 1 < parts_.layers.size()) count_transport(layer.combine.weight, side);
  }
}

// As nvae_frozen_pass.h keeps them: two slopes of a hidden channel, the branch, what the sampler
// reads and gives.
std::int64_t Nvae::kept_in_transport() const {
  std::int64_t out = 0;
  const auto kept = [](const MbCell& cell) { return 2 * cell.expand.weight.size(0) + cell.project.weight.size(0); };
  for (std::size_t i = 1; i < parts_.layers.size(); ++i) {
    const NvaeLayer& layer = parts_.layers[i];
    const LatentShape& shape = groups()[i];
    std::int64_t of_pixel = layer.prior.weight.size(1) + 5 * shape.channels;
    if (layer.up) of_pixel += kept(*layer.up);
    for (const auto& cell : layer.cells) of_pixel += kept(cell);
    out += of_pixel * shape.height * shape.width;
  }
  return out;
}

std::shared_ptr<const FrozenPath> Nvae::frozen_path(at::ScalarType products) const {
  return freeze_nvae(*this, {.products = products});
}

std::string Nvae::architecture() const { return options_.architecture().dump(); }

std::unique_ptr<BatchStatistics> Nvae::batch_statistics(const nets::SumOverRanks& sum, std::uint64_t seed) const {
  return std::make_unique<NvaeTraining>(*this, sum, seed);
}

}  // namespace hebm::vae
