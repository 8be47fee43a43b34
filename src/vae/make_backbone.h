// The backbone that the options ask for: `vae.kind` with the HVAE's `vae.*` or NVAE's `nvae.*`.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vae/hvae.h"
#include "vae/nvae.h"

namespace hebm::vae {

struct BackboneOptions {
  std::string kind = "hvae";
  HvaeOptions hvae;
  NvaeOptions nvae;
  void describe(Options& options);
  // The keys that the chosen backbone depends on begin with one of these.
  std::vector<std::string> prefixes() const;
};

// With new weights from the seed. device kMeta: counts and shapes alone, NVAE only.
std::unique_ptr<Backbone> make_backbone(const BackboneOptions& options, const ImageShape& image, std::uint64_t seed,
                                        at::Device device = at::kCPU);

}  // namespace hebm::vae
