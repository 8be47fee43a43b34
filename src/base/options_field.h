// One option under options.h: how its text is read, checked and written, by type.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include "base/choice.h"
#include "base/options_text.h"

namespace hebm {

template <class T> struct Bounds {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

enum class Show { kCommon, kAll };  // kCommon: in --help; kAll: only in --help-all

namespace detail {

struct Field {
  std::string value_name, accepts;                 // "INT", "an integer in [1, 10]"
  std::function<bool(const std::string&)> assign;  // false: not accepted, target unchanged
  std::function<std::string()> text;               // as assign reads it
  std::string key, help, default_text;             // "section.name", or "name"
  Show show = Show::kAll;
  bool in_fingerprint = true;
  std::string origin = "default";

  // "" for an option of the command line only, not of files and dumps (--json).
  std::string section() const { return key.find('.') == std::string::npos ? "" : key.substr(0, key.rfind('.')); }
  std::string name() const { return key.substr(key.rfind('.') + 1); }
  bool is_bool() const { return value_name == "BOOL"; }
  // Error(kUsage) naming `place` where the value is not accepted.
  void set(const std::string& value, const std::string& from, const std::string& place);
};

struct Section {
  std::string name;
  std::vector<const Field*> fields;
};

// read: text -> optional<T>; write: T -> text. What add() is told is the caller's to fill.
template <class T, class Read, class Write>
Field make_field(T* target, std::string value_name, std::string accepts, Read read, Write write) {
  Field field;
  field.value_name = std::move(value_name);
  field.accepts = std::move(accepts);
  field.assign = [target, read = std::move(read)](const std::string& text) {
    const std::optional<T> value = read(text);
    if (value) *target = *value;
    return value.has_value();
  };
  field.text = [target, write] { return std::string(write(*target)); };
  return field;
}

Field field_of(std::int64_t* target, Bounds<std::int64_t> bounds);
Field field_of(double* target, Bounds<double> bounds);
Field field_of(std::vector<std::int64_t>* target, Bounds<std::int64_t> bounds);
Field field_of(std::vector<double>* target, Bounds<double> bounds);
Field field_of(bool* target);
Field field_of(std::string* target);
Field field_of(std::string* target, std::vector<std::string> choices);
std::string one_of(const std::vector<std::string>& names);

template <NamedEnum E> Field choice_field(E* target) {
  std::vector<std::string> names;
  for (const Choice<E>& choice : choices_of(E{})) names.emplace_back(choice.name);
  return make_field(
      target, "NAME", one_of(names), [](const std::string& text) { return value_named<E>(trim(text)); }, name_of<E>);
}

}  // namespace detail
}  // namespace hebm
