#include "vae/nvae_options.h"
#include <fmt/format.h>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>
#include "base/error.h"
#include "base/options.h"
#include "nets/tensor_io.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

// Bounds that any file or option must keep; products are bounded by what a file holds
// (nets::Parameters).
constexpr std::int64_t kMaxChannels = 4096, kMaxGroups = 255, kMaxCells = 64, kMaxBlocks = 6, kMaxSide = 1024,
                       kMaxField = 1 << 16;

struct Integer {
  std::int64_t NvaeOptions::*value;
  std::int64_t least_option, min, max;  // min: once resolved
};
using Flag = bool NvaeOptions::*;
using Text = std::string NvaeOptions::*;

// What is a key of the section, a field of the architecture and checked, each once.
struct Field {
  const char* name;
  std::variant<Integer, Flag, Text> kind;
  const char* help;
  Show show = Show::kAll;
};

using O = NvaeOptions;
const Field kFields[] = {
    {"encoder_channels", Integer{&O::encoder_channels, 0, 2, kMaxChannels}, "the encoder's; 0: nvae.channels"},
    {"decoder_channels", Integer{&O::decoder_channels, 0, 2, kMaxChannels}, "the decoder's; 0: nvae.channels"},
    {"scales", Integer{&O::scales, 1, 1, 8}, "spatial scales of the latents", Show::kCommon},
    {"groups_per_scale", Integer{&O::groups_per_scale, 1, 1, kMaxGroups}, "latent layers of the finest scale",
        Show::kCommon},
    {"ada_groups", &O::ada_groups, "each coarser scale has half the groups of the finer one"},
    {"min_groups_per_scale", Integer{&O::min_groups_per_scale, 1, 1, kMaxGroups}, "but not fewer than these"},
    {"latents", Integer{&O::latents, 1, 1, 256}, "channels of a latent layer", Show::kCommon},
    {"encoder_cells", Integer{&O::encoder_cells, 1, 1, kMaxCells}, "residual cells a group in the encoder"},
    {"decoder_cells", Integer{&O::decoder_cells, 1, 1, kMaxCells}, "residual cells a group in the decoder"},
    {"preprocess_blocks", Integer{&O::preprocess_blocks, 1, 1, kMaxBlocks},
        "halvings of the image's side before the latents"},
    {"preprocess_cells", Integer{&O::preprocess_cells, 1, 1, kMaxCells}, "cells of such a block"},
    {"postprocess_blocks", Integer{&O::postprocess_blocks, 1, 1, kMaxBlocks},
        "doublings after the latents; as many as preprocess_blocks"},
    {"postprocess_cells", Integer{&O::postprocess_cells, 1, 1, kMaxCells}, "cells of such a block"},
    {"flows", Integer{&O::flows, 0, 0, 16}, "pairs of autoregressive flows a group in the posterior"},
    {"use_se", &O::use_se, "squeeze-and-excitation in every cell"},
    {"res_dist", &O::res_dist, "the posterior is a residual of the prior"},
    {"likelihood", &O::likelihood, "p(x|z) of a pixel", Show::kCommon},
    {"mixtures", Integer{&O::mixtures, 1, 1, 100}, "logistics of the mixture"},
    {"bits", Integer{&O::bits, 1, 1, 8}, "bits of a colour value in the mixture"},
    {"image_channels", Integer{&O::image_channels, 0, 1, 3}, "channels of an image; 0: the data set's"},
    {"side", Integer{&O::side, 0, 4, kMaxSide}, "side of an image; 0: the data set's"},
    {"crop", Integer{&O::crop, 0, 0, kMaxSide / 2},
        "pixels of padding on each side that the log-likelihood leaves out (2 for 28 x 28 in 32 x 32)"},
};

void check_fields(const NvaeOptions& o) {
  check(o.cells == "res_mbconv", ExitCode::kUsage,
      "nvae.cells = '{}': this cell set of NVAE is not supported; expected res_mbconv", o.cells.substr(0, 100));
  for (const Field& field : kFields) {
    const auto* integer = std::get_if<Integer>(&field.kind);
    if (integer == nullptr) continue;
    const std::int64_t value = o.*integer->value;
    const std::int64_t max = integer->value == &O::crop ? o.side / 2 - 1 : integer->max;
    check(value >= integer->min && value <= max, ExitCode::kUsage, "nvae.{} = {}: expected {} to {}", field.name, value,
        integer->min, max);
  }
}

}  // namespace

void NvaeOptions::describe(Options& o) {
  o.add("nvae.cells", &cells, "cell set; only NVAE's res_mbconv is there");
  o.add("nvae.channels", &channels,
      "channels at the image's side, of the encoder and decoder that do not have their own", {2, kMaxChannels},
      Show::kCommon);
  for (const Field& field : kFields) {
    const std::string key = fmt::format("nvae.{}", field.name);
    if (const auto* integer = std::get_if<Integer>(&field.kind)) {
      o.add(key, &(this->*integer->value), field.help, {integer->least_option, integer->max}, field.show);
    } else if (const auto* flag = std::get_if<Flag>(&field.kind)) {
      o.add(key, &(this->**flag), field.help, field.show);
    } else {
      o.add_choice(
          key, &(this->*std::get<Text>(field.kind)), {"bernoulli", "mixture", "normal"}, field.help, field.show);
    }
  }
}

nlohmann::json NvaeOptions::architecture() const {
  nlohmann::json out = {{"backbone", kName}};
  for (const Field& field : kFields) {
    if (const auto* integer = std::get_if<Integer>(&field.kind)) {
      out[field.name] = this->*integer->value;
    } else if (const auto* flag = std::get_if<Flag>(&field.kind)) {
      out[field.name] = this->**flag;
    } else {
      out[field.name] = this->*std::get<Text>(field.kind);
    }
  }
  return out;
}

ImageShape NvaeOptions::read(const nlohmann::json& json) {
  for (const Field& field : kFields) {
    if (const auto* integer = std::get_if<Integer>(&field.kind)) {
      // integer_field takes positive ones only.
      const bool zero = integer->min == 0 && json.contains(field.name) && json[field.name].is_number_unsigned() &&
                        json[field.name].get<std::uint64_t>() == 0;
      this->*integer->value = zero ? 0 : nets::integer_field(json, field.name, kMaxField);
    } else if (const auto* flag = std::get_if<Flag>(&field.kind)) {
      this->** flag = json.at(field.name).get<bool>();
    } else {
      this->*std::get<Text>(field.kind) = json.at(field.name).get<std::string>();
    }
  }
  return {image_channels, side, side};
}

std::unique_ptr<Backbone> NvaeOptions::make(const ImageShape& image, const BackboneBuild& build) const {
  return std::make_unique<Nvae>(*this, image, build.seed, build.dtype, build.max_values, build.device);
}

std::optional<ImageShape> NvaeOptions::planned_shape() const {
  check(image_channels > 0 && side > 0, ExitCode::kUsage,
      "the data set is not there and nvae.side or nvae.image_channels is not given: the shape of the images is "
      "unknown");
  return ImageShape{image_channels, side, side};
}

NvaeOptions NvaeOptions::resolved(const ImageShape& image) const {
  check(image.height == image.width, ExitCode::kUsage, "NVAE takes square images, got {} x {}", image.height,
      image.width);
  check((side == 0 || side == image.height) && (image_channels == 0 || image_channels == image.channels),
      ExitCode::kUsage, "the images are {} x {} x {}; nvae.image_channels = {} and nvae.side = {} ask for others",
      image.channels, image.height, image.width, image_channels, side);
  NvaeOptions out = *this;
  out.side = image.height;
  out.image_channels = image.channels;
  if (out.encoder_channels == 0) out.encoder_channels = channels;
  if (out.decoder_channels == 0) out.decoder_channels = channels;
  check_fields(out);
  const auto halvings = out.preprocess_blocks + out.scales - 1;
  check(out.preprocess_blocks == out.postprocess_blocks, ExitCode::kUsage,
      "nvae.preprocess_blocks = {}, nvae.postprocess_blocks = {}: must be equal, or the image changes its side",
      out.preprocess_blocks, out.postprocess_blocks);
  check(out.side % (std::int64_t{1} << halvings) == 0, ExitCode::kUsage,
      "images of side {} cannot be halved {} times (nvae.preprocess_blocks + nvae.scales - 1)", out.side, halvings);
  check(out.likelihood != "mixture" || out.image_channels == 3, ExitCode::kUsage,
      "nvae.likelihood = mixture takes images of 3 channels, these have {}", out.image_channels);
  std::int64_t layers = 0;
  for (const auto& scale : nvae_scales(out)) layers += scale.groups;
  check(layers >= 2 && layers <= kMaxGroups, ExitCode::kUsage,
      "{} latent layers (nvae.scales, nvae.groups_per_scale): expected 2 to {}", layers, kMaxGroups);
  out.make_likelihood();
  return out;
}

Likelihood NvaeOptions::make_likelihood() const {
  Likelihood out;
  check(likelihood == "bernoulli" || likelihood == "mixture" || likelihood == "normal", ExitCode::kUsage,
      "nvae.likelihood = '{}': expected bernoulli, mixture or normal", likelihood.substr(0, 100));
  out.kind = likelihood == "bernoulli" ? LikelihoodKind::kBernoulli
             : likelihood == "mixture" ? LikelihoodKind::kMixture
                                       : LikelihoodKind::kNormal;
  out.image_channels = image_channels;
  out.mixtures = mixtures;
  out.bits = bits;
  out.crop = crop;
  return out;
}

std::vector<NvaeScale> nvae_scales(const NvaeOptions& o) {
  std::vector<NvaeScale> out;
  std::int64_t groups = o.groups_per_scale;
  for (std::int64_t s = 0; s < o.scales; ++s) {
    const std::int64_t factor = std::int64_t{1} << (o.preprocess_blocks + s);
    out.push_back({groups, o.side / factor, o.encoder_channels * factor, o.decoder_channels * factor});
    if (o.ada_groups) groups = std::max(o.min_groups_per_scale, groups / 2);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace hebm::vae
