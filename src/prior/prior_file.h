// A trained prior in one safetensors file: averaged weights and power-iteration vectors; metadata format = "hebm-prior", version,
// architecture (JSON: energy.*, prior.T, latent groups), identity (JSON: all settings of its training), vae_hash and prior_hash.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "prior/potential.h"

namespace hebm::prior {

inline constexpr const char* kPriorFormat = "hebm-prior";
inline constexpr const char* kPriorVersion = "1";

// The weights that `prior` holds now (put the averaged ones in first). Published whole or not at all. Returns prior_hash.
std::string save_prior(const std::filesystem::path& path, const EnergyPrior& prior, const EnergyOptions& energy,
                       const std::vector<LatentShape>& groups, const std::string& vae_hash, const nlohmann::json& identity);

struct LoadedPrior {
  std::unique_ptr<EnergyPrior> prior;
  std::string prior_hash, vae_hash;
  nlohmann::json identity;
};
// Everything is checked before use: Error(kCorrupt) naming the file. expected_vae_hash: another one is Error(kUsage): the energy nets only mean
// something on the VAE that they were trained on.
LoadedPrior load_prior(const std::filesystem::path& path, const std::vector<LatentShape>& groups,
                       const std::string& expected_vae_hash);

}  // namespace hebm::prior
