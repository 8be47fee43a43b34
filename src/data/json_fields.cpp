#include "data/json_fields.h"
#include <cmath>
#include <limits>
#include "base/error.h"
#include "storage/json.h"

namespace hebm::data {

using storage::Shown;

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  nlohmann::json json = storage::parse_json(text, where);
  check(json.is_object() || json.is_array(), ExitCode::kCorrupt, "{}: expected a JSON object or array, got {}", where,
      Shown{json});
  return json;
}

const nlohmann::json& json_field(const nlohmann::json& object, const char* name, const std::string& where) {
  check(
      object.is_object(), ExitCode::kCorrupt, "{}: expected an object with \"{}\", got {}", where, name, Shown{object});
  const auto found = object.find(name);
  check(found != object.end(), ExitCode::kCorrupt, "{}: expected a field \"{}\", got none", where, name);
  return *found;
}

std::int64_t json_int_value(const nlohmann::json& value, std::int64_t min, std::int64_t max, const std::string& where) {
  bool fits = value.is_number_integer();
  // Numbers above the signed range are kept as unsigned and would wrap.
  if (fits && value.is_number_unsigned())
    fits = value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (fits) {
    const auto number = value.get<std::int64_t>();
    fits = number >= min && number <= max;
    if (fits) return number;
  }
  fail(ExitCode::kCorrupt, "{}: expected an integer of {} to {}, got {}", where, min, max, Shown{value});
}

std::int64_t json_int(
    const nlohmann::json& object, const char* name, std::int64_t min, std::int64_t max, const std::string& where) {
  return json_int_value(json_field(object, name, where), min, max, where + ": " + name);
}

std::uint64_t json_u64(const nlohmann::json& object, const char* name, const std::string& where) {
  const nlohmann::json& value = json_field(object, name, where);
  const bool fits = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  check(fits, ExitCode::kCorrupt, "{}: {}: expected an integer >= 0, got {}", where, name, Shown{value});
  return value.get<std::uint64_t>();
}

double json_finite(const nlohmann::json& object, const char* name, const std::string& where) {
  const nlohmann::json& value = json_field(object, name, where);
  check(value.is_number() && std::isfinite(value.get<double>()), ExitCode::kCorrupt,
      "{}: {}: expected a finite number, got {}", where, name, Shown{value});
  return value.get<double>();
}

std::string json_string(
    const nlohmann::json& object, const char* name, std::size_t max_bytes, const std::string& where) {
  const nlohmann::json& value = json_field(object, name, where);
  check(value.is_string() && value.get_ref<const std::string&>().size() <= max_bytes, ExitCode::kCorrupt,
      "{}: {}: expected a string of at most {} bytes, got {}", where, name, max_bytes, Shown{value});
  return value.get<std::string>();
}

const nlohmann::json& json_array(const nlohmann::json& object, const char* name, std::size_t min_size,
    std::size_t max_size, const std::string& where) {
  const nlohmann::json& value = json_field(object, name, where);
  check(value.is_array() && value.size() >= min_size && value.size() <= max_size, ExitCode::kCorrupt,
      "{}: {}: expected an array of {} to {} entries, got {}", where, name, min_size, max_size,
      value.is_array() ? std::to_string(value.size()) + " entries" : value.type_name());
  return value;
}

std::vector<std::string> json_strings(const nlohmann::json& array, std::size_t max_bytes, const std::string& where) {
  std::vector<std::string> out;
  for (const auto& entry : array) {
    check(entry.is_string() && entry.get_ref<const std::string&>().size() <= max_bytes, ExitCode::kCorrupt,
        "{}: expected strings of at most {} bytes, got an entry of another kind", where, max_bytes);
    out.push_back(entry.get<std::string>());
  }
  return out;
}

}  // namespace hebm::data
