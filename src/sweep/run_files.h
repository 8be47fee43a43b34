// The products of a run directory, by the names that the commands give them (docs/formats.md).
#pragma once

namespace hebm::sweep {

inline constexpr const char *kVae = "vae/vae.safetensors", *kReadjustedVae = "vae/vae-readjusted.safetensors";
inline constexpr const char *kFeatures = "features/features.safetensors", *kCache = "cache",
                            *kCacheIndex = "cache/index.json";
inline constexpr const char *kPrior = "prior/prior.safetensors", *kSamples = "samples/diffusion.h5",
                            *kSummary = "results/summary.json";

}  // namespace hebm::sweep
