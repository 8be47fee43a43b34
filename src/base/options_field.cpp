#include "base/options_field.h"
#include <fmt/format.h>
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include "base/options_text.h"

namespace hebm::detail {
namespace {

template <class T> std::string number_text(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return format_double(value);
  } else {
    return fmt::format("{}", value);
  }
}

// " >= 1", " in [0, 1]" or nothing
template <class T> std::string range_text(const Bounds<T>& bounds) {
  const bool low = bounds.min != std::numeric_limits<T>::lowest(), high = bounds.max != std::numeric_limits<T>::max();
  if (low && high) return fmt::format(" in [{}, {}]", number_text(bounds.min), number_text(bounds.max));
  if (low) return " >= " + number_text(bounds.min);
  return high ? " <= " + number_text(bounds.max) : "";
}

template <class T> std::optional<T> parse_bounded(std::string_view text, const Bounds<T>& bounds) {
  std::optional<T> value;
  if constexpr (std::is_same_v<T, double>) {
    value = parse_double(text);
  } else {
    value = parse_integer(text);
  }
  return value && *value >= bounds.min && *value <= bounds.max ? value : std::nullopt;
}

template <class T> std::optional<std::vector<T>> parse_list(std::string_view text, const Bounds<T>& bounds) {
  std::vector<T> values;
  if (trim(text).empty()) return values;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::optional<T> value = parse_bounded(text.substr(0, comma), bounds);
    if (!value) return std::nullopt;
    values.push_back(*value);
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

template <class T> Field number_field(T* target, const Bounds<T>& bounds, const char* value_name, const char* what) {
  Field field;
  field.value_name = value_name;
  field.accepts = what + range_text(bounds);
  field.assign = [target, bounds](const std::string& text) {
    const std::optional<T> value = parse_bounded(text, bounds);
    if (value) *target = *value;
    return value.has_value();
  };
  field.text = [target] { return number_text(*target); };
  return field;
}

template <class T>
Field list_field(std::vector<T>* target, const Bounds<T>& bounds, const char* value_name, const char* what) {
  Field field;
  field.value_name = value_name;
  const std::string range = range_text(bounds);
  field.accepts = fmt::format("{} separated by commas{}{}", what, range.empty() ? "" : ", each", range);
  field.assign = [target, bounds](const std::string& text) {
    std::optional<std::vector<T>> values = parse_list(text, bounds);
    if (values) *target = std::move(*values);
    return values.has_value();
  };
  field.text = [target] {
    std::vector<std::string> parts;
    for (const T& value : *target) parts.push_back(number_text(value));
    return fmt::format("{}", fmt::join(parts, ","));
  };
  return field;
}

}  // namespace

Field integer_field(std::int64_t* target, Bounds<std::int64_t> bounds) {
  return number_field(target, bounds, "INT", "an integer");
}

Field double_field(double* target, Bounds<double> bounds) {
  return number_field(target, bounds, "REAL", "a finite number");
}

Field bool_field(bool* target) {
  Field field;
  field.value_name = "BOOL";
  field.accepts = "true or false";
  field.is_bool = true;
  field.assign = [target](const std::string& text) {
    const std::optional<bool> value = parse_bool(text);
    if (value) *target = *value;
    return value.has_value();
  };
  field.text = [target] { return std::string(*target ? "true" : "false"); };
  return field;
}

Field text_field(std::string* target) {
  Field field;
  field.value_name = "TEXT";
  field.accepts = "text";
  field.assign = [target](const std::string& text) {
    *target = text;
    return true;
  };
  field.text = [target] { return *target; };
  return field;
}

Field choice_field(
    std::vector<std::string> names, std::function<void(const std::string&)> set, std::function<std::string()> text) {
  Field field;
  field.value_name = "NAME";
  field.accepts = fmt::format("one of {}", fmt::join(names, ", "));
  field.assign = [names = std::move(names), set = std::move(set)](const std::string& given) {
    const auto found = std::find(names.begin(), names.end(), trim(given));
    if (found != names.end()) set(*found);
    return found != names.end();
  };
  field.text = std::move(text);
  return field;
}

Field integer_list_field(std::vector<std::int64_t>* target, Bounds<std::int64_t> bounds) {
  return list_field(target, bounds, "INT,..", "integers");
}

Field double_list_field(std::vector<double>* target, Bounds<double> bounds) {
  return list_field(target, bounds, "REAL,..", "finite numbers");
}

}  // namespace hebm::detail
