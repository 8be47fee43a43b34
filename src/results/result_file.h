// A file results/NAME.json: JSON that carries a hash of itself, which every reader compares.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hebm::results {

// xxh3-128 of all other fields: of the object without it as JSON without blanks, keys sorted.
inline constexpr const char* kContentHash = "content_hash";

// The object with its hash.
nlohmann::json with_hash(nlohmann::json result);
// Makes the folder. `result` is one of with_hash().
void write_result(const std::filesystem::path& path, const nlohmann::json& result);

// The object of a file's text; without a hash where it is from before there was one.
// Error(kCorrupt) in words without the file's name: no JSON, or another hash.
nlohmann::json parse_result(std::string_view text);
// The same of a file, which the error names.
nlohmann::json read_result(const std::filesystem::path& path);

}  // namespace hebm::results
