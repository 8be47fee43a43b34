// A result's struct as JSON and back. A struct names each field once, for both ways:
//   struct Set {
//     std::string name;
//     double distance = kUnknown, change = kUnknown;
//     static void fields(auto& s, auto& visit) {
//       visit("name", s.name, "distance", s.distance);
//       visit.known("change", s.change);
//     }
//   };
// Written: what is unknown (NaN, no value, null) is null, and of known() left out, as are then
// empty texts and lists. Read from a file that may hold anything, without errors: what is missing
// or of another type keeps the value that the struct starts with.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include "base/choice.h"

namespace hebm::results {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
using Count = std::optional<std::int64_t>;  // of something; none: unknown

inline double number(const Count& count) { return count ? static_cast<double>(*count) : kUnknown; }

template <class Result> nlohmann::json to_json(const Result& result);
template <class Result> Result from_json(const nlohmann::json& json);

namespace detail {

template <class T> inline constexpr bool kIsVector = false;
template <class T> inline constexpr bool kIsVector<std::vector<T>> = true;
using Texts = std::map<std::string, std::string>;

template <class T>
concept Struct = std::is_class_v<T> && requires {
  &T::template fields<T, int>;
};

template <class T> nlohmann::json value_json(const T& value) {
  if constexpr (std::is_same_v<T, double>) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
  } else if constexpr (std::is_same_v<T, Count>) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  } else if constexpr (kIsVector<T>) {
    auto out = nlohmann::json::array();
    for (const auto& element : value) out.push_back(value_json(element));
    return out;
  } else if constexpr (std::is_enum_v<T>) {
    return name_of(value);
  } else if constexpr (Struct<T>) {
    return to_json(value);
  } else {
    return value;
  }
}

inline Count count_of(const nlohmann::json& json) {
  constexpr double kMost = 9007199254740992.0;  // 2^53: beyond it a double is no count
  const double value = json.is_number() ? json.get<double>() : kUnknown;
  return std::abs(value) <= kMost && std::trunc(value) == value ? Count(json.get<std::int64_t>()) : std::nullopt;
}

template <class T> bool take_if(bool fits, const nlohmann::json& json, T& out) {
  if (fits) json.get_to(out);
  return fits;
}

// Whether the JSON was of this type; else `out` is as it was.
template <class T> bool read_value(const nlohmann::json& json, T& out) {
  if constexpr (std::is_same_v<T, nlohmann::json>) {
    out = json;
  } else if constexpr (std::is_same_v<T, double>) {
    return take_if(json.is_number(), json, out);
  } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, Count>) {
    const Count count = count_of(json);
    if (!count) return false;
    out = *count;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return take_if(json.is_string(), json, out);
  } else if constexpr (std::is_same_v<T, Texts>) {
    if (!json.is_object()) return false;
    for (const auto& [key, value] : json.items()) {
      if (value.is_string()) out[key] = value.template get<std::string>();
    }
  } else if constexpr (kIsVector<T>) {
    if (!json.is_array()) return false;
    for (const nlohmann::json& element : json) {
      typename T::value_type value{};
      if (read_value(element, value)) {
        out.push_back(std::move(value));
      } else if constexpr (std::is_same_v<T, std::vector<double>>) {
        out.push_back(kUnknown);  // the others keep their places
      }
    }
  } else if constexpr (std::is_enum_v<T>) {
    const auto value = value_named<T>(json.is_string() ? json.get<std::string>() : "");
    if (!value) return false;
    out = *value;
  } else {
    static_assert(Struct<T>);
    if (!json.is_object()) return false;
    out = from_json<T>(json);
  }
  return true;
}

}  // namespace detail

class Writer {
 public:
  // Keys and fields in turn.
  template <class T, class... More> void operator()(const std::string& key, const T& value, const More&... more) {
    out[key] = detail::value_json(value);
    if constexpr (sizeof...(more) > 0) (*this)(more...);
  }
  template <class T, class... More> void known(const std::string& key, const T& value, const More&... more) {
    nlohmann::json json = detail::value_json(value);
    const bool is_known = !json.is_null() && !(json.is_array() && json.empty()) && json != "";
    if (is_known) out[key] = std::move(json);
    if constexpr (sizeof...(more) > 0) known(more...);
  }
  // Left out where there is no such thing; a value that is unknown is null.
  template <class T, class... More> void where_any(const std::string& key, const T& value, const More&... more) {
    if (value) (*this)(key, *value);
    if constexpr (sizeof...(more) > 0) where_any(more...);
  }
  // Fields whose names are data.
  void options(const detail::Texts& texts) {
    for (const auto& [key, value] : texts) out[key] = value;
  }
  template <class T> void members(const std::vector<T>& all) {
    for (const T& one : all) out[one.key] = to_json(one);
  }
  nlohmann::json out = nlohmann::json::object();
};

class Reader {
 public:
  explicit Reader(const nlohmann::json& json) : json_(json) {}
  template <class T, class... More> void operator()(const std::string& key, T& value, More&&... more) {
    if (const auto found = json_.find(key); found != json_.end()) detail::read_value(*found, value);
    if constexpr (sizeof...(more) > 0) (*this)(more...);
  }
  void known(auto&&... fields) { (*this)(fields...); }
  template <class T, class... More> void where_any(const std::string& key, std::optional<T>& value, More&&... more) {
    if (const auto found = json_.find(key); found != json_.end()) detail::read_value(*found, value.emplace());
    if constexpr (sizeof...(more) > 0) where_any(more...);
  }
  // Texts under names with a dot, as options have.
  void options(detail::Texts& texts) {
    for (const auto& [key, value] : json_.items()) {
      if (value.is_string() && key.find('.') != std::string::npos) texts[key] = value.template get<std::string>();
    }
  }
  // Objects, each under its key: those of T::kFirst, then what T::accepts.
  template <class T> void members(std::vector<T>& all) {
    const auto add = [&](const std::string& key, const nlohmann::json& json) {
      all.push_back(from_json<T>(json));
      all.back().key = key;
    };
    for (const char* key : T::kFirst) {
      if (const auto found = json_.find(key); found != json_.end() && found->is_object()) add(key, *found);
    }
    for (const auto& [key, value] : json_.items()) {
      const bool is_first = std::find(T::kFirst.begin(), T::kFirst.end(), key) != T::kFirst.end();
      if (!is_first && value.is_object() && T::accepts(value)) add(key, value);
    }
  }
 private:
  const nlohmann::json& json_;  // an object
};

template <class Result> nlohmann::json to_json(const Result& result) {
  Writer writer;
  Result::fields(result, writer);
  return std::move(writer.out);
}

template <class Result> Result from_json(const nlohmann::json& json) {
  Result out{};
  if (!json.is_object()) return out;
  Reader reader(json);
  Result::fields(out, reader);
  return out;
}

}  // namespace hebm::results
