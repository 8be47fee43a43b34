#include "vae/nvae_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/options.h"

namespace hebm::vae {
namespace {

// Bounds that any file or option must keep; products are bounded by what a file holds
// (nets::Parameters).
constexpr std::int64_t kMaxChannels = 4096, kMaxScales = 8, kMaxGroups = 255, kMaxCells = 64, kMaxBlocks = 6,
                       kMaxFlows = 16, kMaxLatents = 256, kMaxMixtures = 100, kMaxSide = 1024;

void check_range(const char* name, std::int64_t value, std::int64_t min, std::int64_t max) {
  check(value >= min && value <= max, ExitCode::kUsage, "nvae.{} = {}: expected {} to {}", name, value, min, max);
}

void check_fields(const NvaeOptions& o) {
  check(o.cells == "res_mbconv", ExitCode::kUsage,
        "nvae.cells = '{}': this cell set of NVAE is not supported; expected res_mbconv", o.cells.substr(0, 100));
  check_range("encoder_channels", o.encoder_channels, 2, kMaxChannels);
  check_range("decoder_channels", o.decoder_channels, 2, kMaxChannels);
  check_range("scales", o.scales, 1, kMaxScales);
  check_range("groups_per_scale", o.groups_per_scale, 1, kMaxGroups);
  check_range("min_groups_per_scale", o.min_groups_per_scale, 1, kMaxGroups);
  check_range("latents", o.latents, 1, kMaxLatents);
  check_range("encoder_cells", o.encoder_cells, 1, kMaxCells);
  check_range("decoder_cells", o.decoder_cells, 1, kMaxCells);
  check_range("preprocess_blocks", o.preprocess_blocks, 1, kMaxBlocks);
  check_range("postprocess_blocks", o.postprocess_blocks, 1, kMaxBlocks);
  check_range("preprocess_cells", o.preprocess_cells, 1, kMaxCells);
  check_range("postprocess_cells", o.postprocess_cells, 1, kMaxCells);
  check_range("flows", o.flows, 0, kMaxFlows);
  check_range("mixtures", o.mixtures, 1, kMaxMixtures);
  check_range("bits", o.bits, 1, 8);
  check_range("image_channels", o.image_channels, 1, 3);
  check_range("side", o.side, 4, kMaxSide);
  check_range("crop", o.crop, 0, o.side / 2 - 1);
}

}  // namespace

void NvaeOptions::describe(Options& o) {
  o.add("nvae.cells", &cells, "cell set; only NVAE's res_mbconv is there");
  o.add("nvae.channels", &channels,
        "channels at the image's side, of the encoder and decoder that do not have their own", {2, kMaxChannels},
        Show::kCommon);
  o.add("nvae.encoder_channels", &encoder_channels, "the encoder's; 0: nvae.channels", {0, kMaxChannels});
  o.add("nvae.decoder_channels", &decoder_channels, "the decoder's; 0: nvae.channels", {0, kMaxChannels});
  o.add("nvae.scales", &scales, "spatial scales of the latents", {1, kMaxScales}, Show::kCommon);
  o.add("nvae.groups_per_scale", &groups_per_scale, "latent layers of the finest scale", {1, kMaxGroups},
        Show::kCommon);
  o.add("nvae.ada_groups", &ada_groups, "each coarser scale has half the groups of the finer one");
  o.add("nvae.min_groups_per_scale", &min_groups_per_scale, "but not fewer than these", {1, kMaxGroups});
  o.add("nvae.latents", &latents, "channels of a latent layer", {1, kMaxLatents}, Show::kCommon);
  o.add("nvae.encoder_cells", &encoder_cells, "residual cells a group in the encoder", {1, kMaxCells});
  o.add("nvae.decoder_cells", &decoder_cells, "residual cells a group in the decoder", {1, kMaxCells});
  o.add("nvae.preprocess_blocks", &preprocess_blocks, "halvings of the image's side before the latents",
        {1, kMaxBlocks});
  o.add("nvae.preprocess_cells", &preprocess_cells, "cells of such a block", {1, kMaxCells});
  o.add("nvae.postprocess_blocks", &postprocess_blocks, "doublings after the latents; as many as preprocess_blocks",
        {1, kMaxBlocks});
  o.add("nvae.postprocess_cells", &postprocess_cells, "cells of such a block", {1, kMaxCells});
  o.add("nvae.flows", &flows, "pairs of autoregressive flows a group in the posterior", {0, kMaxFlows});
  o.add("nvae.use_se", &use_se, "squeeze-and-excitation in every cell");
  o.add("nvae.res_dist", &res_dist, "the posterior is a residual of the prior");
  o.add_choice("nvae.likelihood", &likelihood, {"bernoulli", "mixture", "normal"}, "p(x|z) of a pixel", Show::kCommon);
  o.add("nvae.mixtures", &mixtures, "logistics of the mixture", {1, kMaxMixtures});
  o.add("nvae.bits", &bits, "bits of a colour value in the mixture", {1, 8});
  o.add("nvae.image_channels", &image_channels, "channels of an image; 0: the data set's", {0, 3});
  o.add("nvae.side", &side, "side of an image; 0: the data set's", {0, kMaxSide});
  o.add("nvae.crop", &crop,
        "pixels of padding on each side that the log-likelihood leaves out (2 for 28 x 28 in 32 x 32)",
        {0, kMaxSide / 2});
}

ImageShape NvaeOptions::image_shape() const {
  check(image_channels > 0 && side > 0, ExitCode::kUsage,
        "the data set is not there and nvae.side or nvae.image_channels is not given: the shape of the images is "
        "unknown");
  return {image_channels, side, side};
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

std::vector<LatentShape> nvae_groups(const NvaeOptions& o) {
  std::vector<LatentShape> out;
  for (const auto& scale : nvae_scales(o)) {
    out.insert(out.end(), static_cast<std::size_t>(scale.groups), LatentShape{o.latents, scale.side, scale.side});
  }
  return out;
}

}  // namespace hebm::vae
