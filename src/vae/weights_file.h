// A trained backbone in one safetensors file: averaged weights by parameter name; metadata format =
// "hebm-vae", version, architecture (JSON, see vae/make_backbone.h), identity (JSON: the
// settings it was trained with), results (JSON), and what tells damage: vae_hash (of architecture
// and weights), or in a file made by the importer crc32 of the data. The file comes from outside:
// all of it is checked before it is used, and nothing larger than the file is allocated.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "vae/backbone.h"

namespace hebm::vae {

inline constexpr const char* kVaeFormat = "hebm-vae";
inline constexpr const char* kVaeVersion = "1";

// xxh3-128 over the architecture and all weights and states, as float32: what a latent cache and
// every result are keyed by.
std::string backbone_hash(const Backbone& backbone);

// The backbone's present weights (put the averaged ones in first). Published whole or not at all;
// an older file of that name is replaced. Returns vae_hash.
std::string save_vae(const std::filesystem::path& path, const Backbone& backbone, const nlohmann::json& fingerprint,
    const nlohmann::json& results);

struct VaeInfo {
  nlohmann::json fingerprint, results;
  std::string hash;  // vae_hash, or crc32 of an imported file: changes with the weights
};
// Metadata alone. Error(kCorrupt) naming the file.
VaeInfo read_vae_info(const std::filesystem::path& path);

// The backbone with the file's float32 weights, on the host; dtype float32 or float64.
// Error(kCorrupt) when anything does not fit, vae_hash or crc32 included.
std::unique_ptr<Backbone> load_backbone(const std::filesystem::path& path, at::ScalarType dtype = at::kFloat);

}  // namespace hebm::vae
