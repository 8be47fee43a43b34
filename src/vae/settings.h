// The settings of a backbone, each named once: the struct's
//   static void fields(auto& s, auto& visit)
// calls visit(name, s.field, help) or visit(name, s.field, Integer{...}, help), Show last where
// --help has it. Visited as options, as an architecture's JSON, and back. A field that came later
// is visit.later(name, s.field, before, ...): JSON has it where it is not as before.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>
#include "base/error.h"
#include "base/options.h"
#include "nets/tensor_io.h"

namespace hebm::vae {

struct Integer {
  std::int64_t least_option, min, max;  // min: once resolved
};

class SettingsAsOptions {
 public:
  SettingsAsOptions(Options& options, const char* section) : options_(options), section_(section) {}
  void operator()(const char* name, std::int64_t& value, Integer bounds, const char* help, Show show = Show::kAll) {
    options_.add(key(name), &value, help, {bounds.least_option, bounds.max}, show);
  }
  template <class T> void operator()(const char* name, T& value, const char* help, Show show = Show::kAll) {
    if constexpr (NamedEnum<T>) {
      options_.add_choice(key(name), &value, help, show);
    } else {
      options_.add(key(name), &value, help, show);
    }
  }
  template <class T> void later(const char* name, T& value, const T& /*before*/, const auto&... more) {
    (*this)(name, value, more...);
  }
 private:
  std::string key(const char* name) const { return fmt::format("{}.{}", section_, name); }

  Options& options_;
  const char* section_;
};

struct SettingsAsJson {
  nlohmann::json out;
  template <class T> void operator()(const char* name, const T& value, const auto&...) {
    if constexpr (NamedEnum<T>) {
      out[name] = name_of(value);
    } else {
      out[name] = value;
    }
  }
  template <class T> void later(const char* name, const T& value, const T& before, const auto&...) {
    if (value != before) (*this)(name, value);
  }
};

// From a file: throws Error or a JSON exception.
struct SettingsFromJson {
  const nlohmann::json& json;
  const char* section;
  std::int64_t max;  // of any integer
  void operator()(const char* name, std::int64_t& value, Integer bounds, const auto&...) {
    value = nets::integer_field(json, name, max, bounds.min == 0 ? 0 : 1);
  }
  template <class T> void operator()(const char* name, T& value, const auto&...) {
    if constexpr (NamedEnum<T>) {
      const auto text = json.at(name).get<std::string>();
      const auto found = value_named<T>(text);
      std::vector<std::string_view> names;
      for (const auto& choice : choices_of(T{})) names.push_back(choice.name);
      check(found.has_value(), ExitCode::kUsage, "{}.{} = '{}': expected {}", section, name, text.substr(0, 100),
          fmt::join(names, " or "));
      value = *found;
    } else {
      json.at(name).get_to(value);
    }
  }
  template <class T> void later(const char* name, T& value, const T& before, const auto&... more) {
    if (json.contains(name)) return (*this)(name, value, more...);
    value = before;
  }
};

}  // namespace hebm::vae
