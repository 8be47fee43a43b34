#include "vae/nvae_options.h"
#include <algorithm>
#include "base/error.h"
#include "vae/nvae.h"
#include "vae/settings.h"

namespace hebm::vae {
namespace {

// Bounds of any file or option; products are bounded by what a file holds (nets::Parameters).
constexpr std::int64_t kMaxChannels = 4096, kMaxGroups = 255, kMaxCells = 64, kMaxBlocks = 6, kMaxSide = 1024,
                       kMaxField = 1 << 16;

// Whether a resolved one is within its bounds.
struct CheckBounds {
  const NvaeOptions& options;
  void operator()(const char* name, const std::int64_t& value, Integer bounds, const auto&...) const {
    const std::int64_t max = &value == &options.crop ? options.side / 2 - 1 : bounds.max;
    check(value >= bounds.min && value <= max, ExitCode::kUsage, "nvae.{} = {}: expected {} to {}", name, value,
        bounds.min, max);
  }
  void operator()(const char*, const auto&, const auto&...) const {}
};

}  // namespace

// Keys of the section `nvae` and fields of the architecture.
void NvaeOptions::fields(auto& s, auto& visit) {
  visit("encoder_channels", s.encoder_channels, Integer{0, 2, kMaxChannels}, "the encoder's; 0: nvae.channels");
  visit("decoder_channels", s.decoder_channels, Integer{0, 2, kMaxChannels}, "the decoder's; 0: nvae.channels");
  visit("scales", s.scales, Integer{1, 1, 8}, "spatial scales of the latents", Show::kCommon);
  visit("groups_per_scale", s.groups_per_scale, Integer{1, 1, kMaxGroups}, "latent layers of the finest scale",
      Show::kCommon);
  visit("ada_groups", s.ada_groups, "each coarser scale has half the groups of the finer one");
  visit("min_groups_per_scale", s.min_groups_per_scale, Integer{1, 1, kMaxGroups}, "but not fewer than these");
  visit("latents", s.latents, Integer{1, 1, 256}, "channels of a latent layer", Show::kCommon);
  visit("encoder_cells", s.encoder_cells, Integer{1, 1, kMaxCells}, "residual cells a group in the encoder");
  visit("decoder_cells", s.decoder_cells, Integer{1, 1, kMaxCells}, "residual cells a group in the decoder");
  visit("preprocess_blocks", s.preprocess_blocks, Integer{1, 1, kMaxBlocks},
      "halvings of the image's side before the latents");
  visit("preprocess_cells", s.preprocess_cells, Integer{1, 1, kMaxCells}, "cells of such a block");
  visit("postprocess_blocks", s.postprocess_blocks, Integer{1, 1, kMaxBlocks},
      "doublings after the latents; as many as preprocess_blocks");
  visit("postprocess_cells", s.postprocess_cells, Integer{1, 1, kMaxCells}, "cells of such a block");
  visit("flows", s.flows, Integer{0, 0, 16}, "pairs of autoregressive flows a group in the posterior");
  visit("use_se", s.use_se, "squeeze-and-excitation in every cell");
  visit("res_dist", s.res_dist, "the posterior is a residual of the prior");
  visit("likelihood", s.likelihood, "p(x|z) of a pixel", Show::kCommon);
  visit("mixtures", s.mixtures, Integer{1, 1, 100}, "logistics of the mixture");
  visit("bits", s.bits, Integer{1, 1, 8}, "bits of a colour value in the mixture");
  visit("image_channels", s.image_channels, Integer{0, 1, 3}, "channels of an image; 0: the data set's");
  visit("side", s.side, Integer{0, 4, kMaxSide}, "side of an image; 0: the data set's");
  visit("crop", s.crop, Integer{0, 0, kMaxSide / 2},
      "pixels of padding on each side that the log-likelihood leaves out (2 for 28 x 28 in 32 x 32)");
}

void NvaeOptions::describe(Options& o) {
  o.add("nvae.cells", &cells, "cell set; only NVAE's res_mbconv is there");
  o.add("nvae.channels", &channels,
      "channels at the image's side, of the encoder and decoder that do not have their own", {2, kMaxChannels},
      Show::kCommon);
  SettingsAsOptions visit(o, "nvae");
  fields(*this, visit);
}

nlohmann::json NvaeOptions::architecture() const {
  SettingsAsJson visit{{{"backbone", kName}}};
  fields(*this, visit);
  return visit.out;
}

ImageShape NvaeOptions::read(const nlohmann::json& json) {
  SettingsFromJson visit{json, "nvae", kMaxField};
  fields(*this, visit);
  return {image_channels, side, side};
}

std::unique_ptr<Backbone> NvaeOptions::make(const ImageShape& image, const BackboneBuild& build) const {
  return std::make_unique<Nvae>(*this, image, build);
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
  check(out.cells == "res_mbconv", ExitCode::kUsage,
      "nvae.cells = '{}': this cell set of NVAE is not supported; expected res_mbconv", out.cells.substr(0, 100));
  const CheckBounds bounds{out};
  fields(out, bounds);
  const auto halvings = out.preprocess_blocks + out.scales - 1;
  check(out.preprocess_blocks == out.postprocess_blocks, ExitCode::kUsage,
      "nvae.preprocess_blocks = {}, nvae.postprocess_blocks = {}: must be equal, or the image changes its side",
      out.preprocess_blocks, out.postprocess_blocks);
  check(out.side % (std::int64_t{1} << halvings) == 0, ExitCode::kUsage,
      "images of side {} cannot be halved {} times (nvae.preprocess_blocks + nvae.scales - 1)", out.side, halvings);
  check(out.likelihood != NvaeLikelihood::kMixture || out.image_channels == 3, ExitCode::kUsage,
      "nvae.likelihood = mixture takes images of 3 channels, these have {}", out.image_channels);
  std::int64_t layers = 0;
  for (const auto& scale : nvae_scales(out)) layers += scale.groups;
  check(layers >= 2 && layers <= kMaxGroups, ExitCode::kUsage,
      "{} latent layers (nvae.scales, nvae.groups_per_scale): expected 2 to {}", layers, kMaxGroups);
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
