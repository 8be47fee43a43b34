// Checked access to JSON that came from outside: every field has a type and bounds. `where` names
// file and part; all errors are Error(kCorrupt) with expected and got.
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hebm::data {

nlohmann::json parse_json(std::string_view text, const std::string& where);  // an object or an array
const nlohmann::json& json_field(const nlohmann::json& object, const char* name, const std::string& where);
std::int64_t json_int(
    const nlohmann::json& object, const char* name, std::int64_t min, std::int64_t max, const std::string& where);
std::uint64_t json_u64(const nlohmann::json& object, const char* name, const std::string& where);
double json_finite(const nlohmann::json& object, const char* name, const std::string& where);
std::string json_string(
    const nlohmann::json& object, const char* name, std::size_t max_bytes, const std::string& where);
const nlohmann::json& json_array(const nlohmann::json& object, const char* name, std::size_t min_size,
    std::size_t max_size, const std::string& where);
// A value (not a field) that must be an integer within bounds.
std::int64_t json_int_value(const nlohmann::json& value, std::int64_t min, std::int64_t max, const std::string& where);

// The array's entries, which must be texts.
std::vector<std::string> json_strings(const nlohmann::json& array, std::size_t max_bytes, const std::string& where);

}  // namespace hebm::data
