// Construction of NVAE: the tree of cells under the authors' names, architecture as JSON.
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "nets/tensor_io.h"
#include "vae/architecture.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kMaxField = 1 << 16;  // resolved() has the bounds
constexpr std::int64_t kDecoderExpansion = 6, kPostExpansion = 3;

double conv_flop(const NvaeConv& conv, std::int64_t side) {
  return conv.weight.defined() ? 2.0 * static_cast<double>(conv.weight.numel() * side * side) : 0.0;
}

double cell_flop(const MbCell& cell, std::int64_t side) {
  return conv_flop(cell.skip, side) + conv_flop(cell.expand, side) + conv_flop(cell.depthwise, side) +
         conv_flop(cell.project, side);
}

}  // namespace

Nvae::Nvae(const NvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype,
           std::int64_t max_values, at::Device device)
    : options_(options.resolved(image)),
      likelihood_(options_.make_likelihood()),
      scales_(nvae_scales(options_)),
      groups_(nvae_groups(options_)),
      params_(seed, 1, dtype, device, max_values),
      layers_(params_) {
  latent_layers_.resize(groups_.size());
  encoder_.resize(groups_.size());
  const NvaeScale& top = scales_.front();
  start_ = params_.add("prior_ftr0", {top.decoder_channels, top.side, top.side}, nets::Init::kUniformFanIn,
                       0.5 * static_cast<double>(top.side));
  {
    const c10::NoGradGuard no_grad;
    start_.add_(0.5);  // U[0, 1)
  }
  build_encoder();
  build_samplers();
  build_decoder();
  count_flop();
  params_.flatten();
}

void Nvae::build_encoder() {
  stem_ = layers_.conv("stem", {.in = options_.image_channels, .out = options_.encoder_channels, .kernel = 3});
  std::int64_t channels = options_.encoder_channels;
  for (std::int64_t n = 0; n < options_.preprocess_blocks * options_.preprocess_cells; ++n) {
    const bool down = (n + 1) % options_.preprocess_cells == 0;
    preprocess_.push_back(make_res_cell(layers_, "pre_process." + std::to_string(n), channels, down, options_.use_se));
    if (down) channels *= 2;
  }
  std::size_t g = 0, module = 0;
  const auto next = [&] { return "enc_tower." + std::to_string(module++); };
  for (auto scale = scales_.rbegin(); scale != scales_.rend(); ++scale) {
    for (std::int64_t k = 0; k < scale->groups; ++k, ++g) {
      if (k == 0 && g > 0)
        encoder_[g].down = make_res_cell(layers_, next(), scale->encoder_channels / 2, true, options_.use_se);
      for (std::int64_t c = 0; c < options_.encoder_cells; ++c) {
        encoder_[g].cells.push_back(make_res_cell(layers_, next(), scale->encoder_channels, false, options_.use_se));
      }
      if (g + 1 == encoder_.size()) break;  // layer 0 has no s to combine with
      latent_layers_[encoder_.size() - 1 - g].encoder_combine =
          layers_.conv(next() + ".conv", {.in = scale->decoder_channels, .out = scale->encoder_channels});
    }
  }
  const std::int64_t top = scales_.front().encoder_channels;
  top_feature_ = layers_.conv("enc0.1", {.in = top, .out = top});
}

void Nvae::build_samplers() {
  std::size_t i = 0;
  for (const auto& scale : scales_) {
    for (std::int64_t k = 0; k < scale.groups; ++k, ++i) {
      NvaeLayer& layer = latent_layers_[i];
      layer.posterior = layers_.conv("enc_sampler." + std::to_string(i),
                                     {.in = scale.encoder_channels, .out = 2 * options_.latents, .kernel = 3});
      if (i > 0) {
        layer.prior = layers_.conv("dec_sampler." + std::to_string(i - 1) + ".1",
                                   {.in = scale.decoder_channels, .out = 2 * options_.latents});
      }
      for (std::int64_t f = 0; f < options_.flows; ++f) {
        const auto number = static_cast<std::int64_t>(i) * options_.flows + f;
        layer.flows.push_back(make_flow_pair(layers_, "nf_cells." + std::to_string(number), options_.latents));
      }
    }
  }
}

void Nvae::build_decoder() {
  std::size_t i = 0, module = 0;
  const auto next = [&] { return "dec_tower." + std::to_string(module++); };
  for (const auto& scale : scales_) {
    for (std::int64_t k = 0; k < scale.groups; ++k, ++i) {
      NvaeLayer& layer = latent_layers_[i];
      const std::int64_t c = scale.decoder_channels;
      if (k == 0 && i > 0) layer.up = make_mb_cell(layers_, next(), 2 * c, true, kDecoderExpansion, options_.use_se);
      for (std::int64_t n = 0; i > 0 && n < options_.decoder_cells; ++n) {
        layer.cells.push_back(make_mb_cell(layers_, next(), c, false, kDecoderExpansion, options_.use_se));
      }
      layer.combine = layers_.conv(next() + ".conv", {.in = c + options_.latents, .out = c});
    }
  }
  std::int64_t channels = scales_.back().decoder_channels;
  for (std::int64_t n = 0; n < options_.postprocess_blocks * options_.postprocess_cells; ++n) {
    const bool up = n % options_.postprocess_cells == 0;
    postprocess_.push_back(
        make_mb_cell(layers_, "post_process." + std::to_string(n), channels, up, kPostExpansion, options_.use_se));
    if (up) channels /= 2;
  }
  out_ = layers_.conv("image_conditional.1", {.in = channels, .out = likelihood_.channels(), .kernel = 3});
}

void Nvae::count_flop() {
  for (std::size_t i = 0; i < latent_layers_.size(); ++i) {
    const NvaeLayer& layer = latent_layers_[i];
    const std::int64_t side = groups_[i].height;
    if (layer.up) transport_flop_ += cell_flop(*layer.up, side);
    for (const auto& cell : layer.cells) transport_flop_ += cell_flop(cell, side);
    transport_flop_ += conv_flop(layer.prior, side);
    if (i + 1 < latent_layers_.size()) transport_flop_ += conv_flop(layer.combine, side);
  }
}

std::string Nvae::architecture() const {
  const NvaeOptions& o = options_;
  return nlohmann::json{{"backbone", "nvae"},
                        {"encoder_channels", o.encoder_channels},
                        {"decoder_channels", o.decoder_channels},
                        {"scales", o.scales},
                        {"groups_per_scale", o.groups_per_scale},
                        {"latents", o.latents},
                        {"encoder_cells", o.encoder_cells},
                        {"decoder_cells", o.decoder_cells},
                        {"preprocess_blocks", o.preprocess_blocks},
                        {"preprocess_cells", o.preprocess_cells},
                        {"postprocess_blocks", o.postprocess_blocks},
                        {"postprocess_cells", o.postprocess_cells},
                        {"flows", o.flows},
                        {"ada_groups", o.ada_groups},
                        {"min_groups_per_scale", o.min_groups_per_scale},
                        {"use_se", o.use_se},
                        {"res_dist", o.res_dist},
                        {"likelihood", o.likelihood},
                        {"mixtures", o.mixtures},
                        {"bits", o.bits},
                        {"image_channels", o.image_channels},
                        {"side", o.side},
                        {"crop", o.crop}}
      .dump();
}

std::unique_ptr<Nvae> Nvae::from_architecture(const std::string& text, std::int64_t max_values, at::ScalarType dtype) {
  std::unique_ptr<Nvae> out;
  read_architecture(text, "nvae", [&](const nlohmann::json& json) {
    // 0 is a value of some fields: integer_field takes positive ones only.
    const auto or_zero = [&](const char* key) {
      return json.contains(key) && json[key].is_number_unsigned() && json[key].get<std::uint64_t>() == 0
                 ? 0
                 : nets::integer_field(json, key, kMaxField);
    };
    NvaeOptions o;
    for (const auto& [key, field] :
         std::initializer_list<std::pair<const char*, std::int64_t*>>{{"encoder_channels", &o.encoder_channels},
                                                                      {"decoder_channels", &o.decoder_channels},
                                                                      {"scales", &o.scales},
                                                                      {"groups_per_scale", &o.groups_per_scale},
                                                                      {"latents", &o.latents},
                                                                      {"encoder_cells", &o.encoder_cells},
                                                                      {"decoder_cells", &o.decoder_cells},
                                                                      {"preprocess_blocks", &o.preprocess_blocks},
                                                                      {"preprocess_cells", &o.preprocess_cells},
                                                                      {"postprocess_blocks", &o.postprocess_blocks},
                                                                      {"postprocess_cells", &o.postprocess_cells},
                                                                      {"min_groups_per_scale", &o.min_groups_per_scale},
                                                                      {"mixtures", &o.mixtures},
                                                                      {"bits", &o.bits},
                                                                      {"image_channels", &o.image_channels},
                                                                      {"side", &o.side}}) {
      *field = nets::integer_field(json, key, kMaxField);
    }
    o.flows = or_zero("flows");
    o.crop = or_zero("crop");
    o.ada_groups = json.at("ada_groups").get<bool>();
    o.use_se = json.at("use_se").get<bool>();
    o.res_dist = json.at("res_dist").get<bool>();
    o.likelihood = json.at("likelihood").get<std::string>();
    out = std::make_unique<Nvae>(o, ImageShape{o.image_channels, o.side, o.side}, 0, dtype, max_values);
  });
  return out;
}

}  // namespace hebm::vae
