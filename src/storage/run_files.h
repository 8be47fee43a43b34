// What lies where in a run directory (docs/formats.md).
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace hebm::storage::run_files {

inline constexpr const char *kVae = "vae/vae.safetensors", *kReadjustedVae = "vae/vae-readjusted.safetensors",
                            *kFeatures = "features/features.safetensors", *kCache = "cache",
                            *kCacheIndex = "cache/index.json", *kSamples = "samples/diffusion.h5",
                            *kDataset = "dataset.h5", *kSummary = "results/summary.json",
                            *kPriorFile = "prior.safetensors";

// Of a command that makes one file, until it is there: its lease, and the whole chunks so far.
inline constexpr const char *kWork = "work", *kChunks = "chunks";
// RUN/samples/diffusion.h5 -> RUN/work/samples-diffusion
inline std::filesystem::path work_folder(const std::filesystem::path& product) {
  const auto folder = product.parent_path();
  return folder.parent_path() / kWork / (folder.filename().string() + "-" + product.stem().string());
}

inline constexpr const char* kOwnPrior = "diffusion";  // the prior.kind of the method itself
// `evaluate`'s, of a prior.kind ("": the method's).
inline std::string summary(std::string_view kind) {
  return kind.empty() || kind == kOwnPrior ? kSummary : "results/summary-" + std::string(kind) + ".json";
}
// Of a prior.kind or of a --name of `couple`: a run directory may hold one of each.
inline std::string prior_folder(std::string_view name) {
  return name == kOwnPrior ? "prior" : "prior-" + std::string(name);
}

}  // namespace hebm::storage::run_files
