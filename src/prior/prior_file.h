// A trained prior in one safetensors file: averaged weights and power-iteration vectors; metadata
// format, version, architecture (JSON: nets, energy.*, alpha_cum, latent groups, label heads),
// identity (JSON: all settings of its training), vae_hash and prior_hash. An imported file has
// neither hash but crc32 of its data; it fits any VAE with the same latent groups.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "prior/potential.h"
#include "storage/run_files.h"

namespace hebm::prior {

inline constexpr const char* kPriorFormat = "hebm-prior";
inline constexpr const char* kPriorVersion = "1";

// The weights that `prior` holds now (put the averaged ones in first). Published whole or not at
// all. Returns prior_hash.
std::string save_prior(const std::filesystem::path& path, const EnergyPrior& prior, const EnergyOptions& energy,
    const std::vector<LatentShape>& groups, const std::string& vae_hash, const nlohmann::json& fingerprint);

// What the metadata say, without the weights.
struct PriorInfo {
  std::string kind;        // prior.kind of its training; diffusion when imported
  std::string prior_hash;  // empty when imported
  std::int64_t num_levels = 0;
  nlohmann::json fingerprint;
};
PriorInfo read_prior_info(const std::filesystem::path& path);

struct LoadedPrior : PriorInfo {
  std::unique_ptr<EnergyPrior> prior;
  EnergyOptions energy;  // of its nets; what only training needs has its defaults
  std::string vae_hash;  // empty when imported
};
// Everything is checked before use: Error(kCorrupt) naming the file. Another VAE than
// expected_vae_hash, or another kind, is Error(kUsage): the nets mean something on theirs alone.
// dtype float32 or float64 (the file has float32).
LoadedPrior load_prior(const std::filesystem::path& path, const std::vector<LatentShape>& groups,
    const std::string& expected_vae_hash, at::ScalarType dtype = at::kFloat,
    const std::string& kind = storage::run_files::kOwnPrior);

}  // namespace hebm::prior
