// The products of a run directory, by the names that the commands give them (docs/formats.md).
#pragma once

namespace hebm::sweep {

inline constexpr const char *kVae = "vae/vae.safetensors", *kReadjustedVae = "vae/vae-readjusted.safetensors";
inline constexpr const char *kFeatures = "features/features.safetensors", *kCache = "cache",
                            *kCacheIndex = "cache/index.json";
inline constexpr const char *kPrior = "prior/prior.safetensors", *kSamples = "samples/diffusion.h5",
                            *kSummary = "results/summary.json";
// Of the priors that are compared with it: prior.kind joint, nce, gaussian.
inline constexpr const char *kJointPrior = "prior-joint/prior.safetensors", *kJointSamples = "samples/joint.h5",
                            *kGaussianSamples = "samples/gaussian.h5";
inline constexpr const char *kNcePrior = "prior-nce/prior.safetensors", *kResampled = "samples/nce-resampling.h5",
                            *kNceLangevin = "samples/nce-langevin.h5";

}  // namespace hebm::sweep
