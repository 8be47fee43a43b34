// Fields of JSON that may hold anything, read without errors: what is missing or of another type
// has the value named here.
#pragma once
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace hebm::storage {

inline const nlohmann::json* field_in(const nlohmann::json& object, const char* key) {  // or null
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

inline std::string text_in(const nlohmann::json& object, const char* key) {  // ""
  const nlohmann::json* field = field_in(object, key);
  return field != nullptr && field->is_string() ? field->get<std::string>() : "";
}

inline std::int64_t integer_in(const nlohmann::json& object, const char* key) {  // 0
  const nlohmann::json* field = field_in(object, key);
  return field != nullptr && field->is_number_integer() ? field->get<std::int64_t>() : 0;
}

inline double number_in(const nlohmann::json& object, const char* key) {  // NaN
  const nlohmann::json* field = field_in(object, key);
  return field != nullptr && field->is_number() ? field->get<double>() : std::nan("");
}

}  // namespace hebm::storage
