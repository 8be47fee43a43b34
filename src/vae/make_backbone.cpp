#include "vae/make_backbone.h"

#include "base/options.h"

namespace hebm::vae {

void BackboneOptions::describe(Options& o) {
  o.add_choice("vae.kind", &kind, {"hvae", "nvae"}, "backbone: the convolutional HVAE (vae.*) or NVAE (nvae.*)",
               Show::kCommon);
  hvae.describe(o);
  nvae.describe(o);
}

std::vector<std::string> BackboneOptions::prefixes() const {
  if (kind == "nvae") return {"vae.kind", "nvae."};
  return {"vae.latents", "vae.width", "vae.image_", "vae.pixel_width", "vae.likelihood"};
}

std::unique_ptr<Backbone> make_backbone(const BackboneOptions& options, const ImageShape& image, std::uint64_t seed,
                                        at::Device device) {
  constexpr auto kUnlimited = std::numeric_limits<std::int64_t>::max();
  if (options.kind == "nvae") return std::make_unique<Nvae>(options.nvae, image, seed, at::kFloat, kUnlimited, device);
  return std::make_unique<Hvae>(options.hvae, image, seed);
}

}  // namespace hebm::vae
