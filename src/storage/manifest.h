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

// A plain name within one folder: no '/', no control characters, not "." or "..", at most 255
// bytes.
bool is_file_name(const std::string& name);

nlohmann::json to_json(const std::vector<PartResult>& parts);
// Names are plain, unique and not manifest.json, hashes are 32 hex digits: Error(kCorrupt) with
// `what` in front.
std::vector<PartResult> parts_from_json(const nlohmann::json& json, const std::string& what);

// `content` with "format" and "parts" added. Error(kRuntime) where a part has a bad or a double
// name.
std::string format_manifest(const nlohmann::json& content, const std::vector<PartResult>& parts);
// The other way, without "manifest_hash". Error(kCorrupt) with `what` in front.
nlohmann::json parse_manifest(const std::string& text, const std::string& what);

}  // namespace hebm::storage
