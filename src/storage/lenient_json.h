// Fields of JSON that may hold anything, read without errors: what is missing or of another type
// has the value named here.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

// The objects of an array field; none where it is something else.
inline std::vector<nlohmann::json> objects_in(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = field_in(object, key);
  std::vector<nlohmann::json> out;
  if (field == nullptr || !field->is_array()) return out;
  std::copy_if(field->begin(), field->end(), std::back_inserter(out),
               [](const nlohmann::json& j) { return j.is_object(); });
  return out;
}

}  // namespace hebm::storage
