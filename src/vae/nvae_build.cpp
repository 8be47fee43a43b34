// Construction of NVAE: the tree of cells under the authors' names.
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kDecoderExpansion = 6, kPostExpansion = 3;

TopDownBackbone::Shape shape_of(const NvaeOptions& o) {
  std::vector<LatentShape> groups;
  for (const auto& scale : nvae_scales(o)) {
    groups.insert(groups.end(), static_cast<std::size_t>(scale.groups), LatentShape{o.latents, scale.side, scale.side});
  }
  return {{o.image_channels, o.side, o.side}, o.make_likelihood(), std::move(groups), kNvaeTopSigma};
}

}  // namespace

Nvae::Nvae(const NvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype,
    std::int64_t max_values, at::Device device)
    : TopDownBackbone(shape_of(options.resolved(image)), nets::Parameters(seed, 1, dtype, device, max_values)),
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

}  // namespace hebm::vae
