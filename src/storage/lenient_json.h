// Fields of JSON that may hold anything, read without errors: what is missing or of another type
// has the value named here.
#pragma once
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include "storage/json.h"

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

// What a file from before the key was has in its place; null: nothing.
inline nlohmann::json implied(const std::string& key) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRows = {
      {{"compute.chain_precision", "float32"}, {"langevin.start", "next"}, {"train.chain", "data"},
          {"train.reverse_from", "0"}, {"vae_train.kl_targets", ""}, {"vae_train.kl_ramp", "0.3"},
          {"vae_train.optimiser", "adamax"}, {"vae_train.beta1", "0.9"}, {"vae_train.beta2", "0.999"},
          {"vae.top_width", "0"}, {"vae.image_sees_z", "false"}}};
  const auto* const row = std::ranges::find(kRows, key, &std::pair<std::string_view, std::string_view>::first);
  return row == kRows.end() ? nlohmann::json() : nlohmann::json(row->second);
}

// "" where `stored` has every entry of `wanted` as it is; else a line an entry, each behind its
// line feed. what: whose they are, "file", "run".
inline std::string settings_difference(
    const nlohmann::json& wanted, const nlohmann::json& stored, const std::string& what) {
  std::string out;
  for (const auto& [key, value] : wanted.items()) {
    const nlohmann::json* there = field_in(stored, key.c_str());
    const nlohmann::json before = implied(key);
    if (there == nullptr && !before.is_null()) there = &before;
    const std::string asked = json_text(value), text = there == nullptr ? "nothing" : json_text(*there);
    if (text != asked) out += fmt::format("\n  {}: the {} has {}, you ask for {}", key, what, text, asked);
  }
  return out;
}

}  // namespace hebm::storage
