// NVAE's settings (options `nvae.*`), their check, and what follows from them: the groups, channels
// and side of every scale.
#pragma once
#include "base/choice.h"
#include "vae/make_backbone.h"

namespace hebm::vae {

// Those of LikelihoodKind that it has.
enum class NvaeLikelihood {
  kBernoulli = int(LikelihoodKind::kBernoulli),
  kMixture = int(LikelihoodKind::kMixture),
  kNormal = int(LikelihoodKind::kNormal),
};
constexpr std::array<Choice<NvaeLikelihood>, 3> choices_of(NvaeLikelihood) {
  return {{{"bernoulli", NvaeLikelihood::kBernoulli}, {"mixture", NvaeLikelihood::kMixture},
      {"normal", NvaeLikelihood::kNormal}}};
}

struct NvaeOptions final : BackboneSettings {
  static constexpr const char* kName = "nvae";
  std::string cells = "res_mbconv";  // the one cell set there is
  std::int64_t channels = 16;        // of encoder and decoder at the image's side, where those are 0
  std::int64_t encoder_channels = 0, decoder_channels = 0;     // 0: channels
  std::int64_t scales = 1, groups_per_scale = 6, latents = 8;  // latents: channels of a group
  std::int64_t encoder_cells = 1, decoder_cells = 1;           // a group
  std::int64_t preprocess_blocks = 2, preprocess_cells = 2;    // cells: a block, its down cell included
  std::int64_t postprocess_blocks = 2, postprocess_cells = 2;  // the same number of blocks: the image keeps its side
  std::int64_t flows = 0;                                      // pairs a group, in the posterior alone
  bool ada_groups = false;                                     // each coarser scale has half the groups
  std::int64_t min_groups_per_scale = 1;
  bool use_se = true, res_dist = true;
  NvaeLikelihood likelihood = NvaeLikelihood::kBernoulli;
  std::int64_t mixtures = 10, bits = 8;       // of the mixture of logistics
  std::int64_t image_channels = 0, side = 0;  // 0: the data set's
  std::int64_t crop = 0;                      // zero padding on each side, outside the log-likelihood

  static void fields(auto& settings, auto& visit);
  void describe(Options& options) override;
  std::unique_ptr<Backbone> make(const ImageShape& image, const BackboneBuild& build) const override;
  ImageShape read(const nlohmann::json& architecture) override;
  // Error(kUsage) when they leave it to the data set.
  std::optional<ImageShape> planned_shape() const override;
  nlohmann::json architecture() const;  // of resolved settings
  // With every 0 above replaced and all checked. Another shape than side and image_channels say, or
  // a setting that does not fit: Error(kUsage) naming it.
  NvaeOptions resolved(const ImageShape& image) const;
};

// One spatial scale of a resolved NVAE.
struct NvaeScale {
  std::int64_t groups = 0, side = 0;
  std::int64_t encoder_channels = 0, decoder_channels = 0;
};
// Coarse to fine: the decoder's order, layer 0 is the first group of the first scale.
std::vector<NvaeScale> nvae_scales(const NvaeOptions& resolved);

}  // namespace hebm::vae
