// Inside of verified_directory.cpp: the text of manifest.json. It starts with the hash of all that
// follows in it, so that a flipped bit in the manifest itself is seen before anything is parsed.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "storage/verified_directory.h"

namespace hebm::storage {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr std::uint64_t kMaxManifest = 16ull << 20;

// Plain, within a folder: no '/', no control characters, not "." or "..", at most 255 bytes.
bool is_file_name(const std::string& name);

// Without a check of what stands there.
void to_json(nlohmann::json& json, const PartResult& part);
void from_json(const nlohmann::json& json, PartResult& part);
bool verifies(const fs::path& directory);  // verify_directory finds nothing corrupt
// Names are plain, unique, not manifest.json; hashes are hashes. Else Error(kCorrupt) of `what`.
std::vector<PartResult> parts_from_json(const nlohmann::json& json, const std::string& what);

// `content` with "format" and "parts" added. Error(kRuntime): a part's name is bad or double.
std::string format_manifest(const nlohmann::json& content, const std::vector<PartResult>& parts);
// The other way, without "manifest_hash". Error(kCorrupt) with `what` in front.
nlohmann::json parse_manifest(const std::string& text, const std::string& what);

}  // namespace hebm::storage
