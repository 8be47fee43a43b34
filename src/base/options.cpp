#include "base/options.h"
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <optional>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "base/text.h"

namespace hebm::detail {
namespace {

// " >= 1", " in [0, 1]" or nothing
template <class T> std::string range_text(const Bounds<T>& bounds) {
  const bool low = bounds.min != std::numeric_limits<T>::lowest(), high = bounds.max != std::numeric_limits<T>::max();
  if (low && high) return fmt::format(" in [{}, {}]", bounds.min, bounds.max);
  if (low) return fmt::format(" >= {}", bounds.min);
  return high ? fmt::format(" <= {}", bounds.max) : "";
}

template <class T> std::optional<T> parse_bounded(std::string_view text, const Bounds<T>& bounds) {
  const std::optional<T> value = parse_number<T>(text);
  return value && *value >= bounds.min && *value <= bounds.max ? value : std::nullopt;
}

template <class T> Field number_field(T* target, const Bounds<T>& bounds, const char* value_name, const char* what) {
  return make_field(
      target, value_name, what + range_text(bounds),
      [bounds](const std::string& text) { return parse_bounded(text, bounds); },
      [](const T& value) { return fmt::format("{}", value); });
}

template <class T>
Field list_field(std::vector<T>* target, const Bounds<T>& bounds, const char* value_name, const char* what) {
  const auto read = [bounds](const std::string& text) -> std::optional<std::vector<T>> {
    std::vector<T> values;
    if (trim(text).empty()) return values;
    for (const std::string& part : split(text, ',')) {
      const std::optional<T> value = parse_bounded(part, bounds);
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
    return values;
  };
  const std::string range = range_text(bounds);
  return make_field(target, value_name,
      fmt::format("{} separated by commas{}{}", what, range.empty() ? "" : ", each", range), read,
      [](const std::vector<T>& values) { return fmt::format("{}", fmt::join(values, ",")); });
}

std::string same(const std::string& text) { return text; }

}  // namespace

void Field::set(const std::string& value, const std::string& from, const std::string& place) {
  check(assign(value), ExitCode::kUsage, "{} = '{}' ({}): expected {}", key, printable(value), place, accepts);
  origin = from;
}

Field field_of(std::int64_t* target, Bounds<std::int64_t> bounds) {
  return number_field(target, bounds, "INT", "an integer");
}

Field field_of(double* target, Bounds<double> bounds) {
  return number_field(target, bounds, "REAL", "a finite number");
}

Field field_of(std::vector<std::int64_t>* target, Bounds<std::int64_t> bounds) {
  return list_field(target, bounds, "INT,..", "integers");
}

Field field_of(std::vector<double>* target, Bounds<double> bounds) {
  return list_field(target, bounds, "REAL,..", "finite numbers");
}

Field field_of(bool* target) {
  return make_field(target, "BOOL", "true or false", parse_bool, [](bool value) { return value ? "true" : "false"; });
}

Field field_of(std::string* target) {
  return make_field(
      target, "TEXT", "text", [](const std::string& text) { return std::optional(text); }, same);
}

Field field_of(std::string* target, std::vector<std::string> choices) {
  const std::string accepts = one_of(choices);
  const auto read = [choices = std::move(choices)](const std::string& text) {
    const auto found = std::ranges::find(choices, trim(text));
    return found != choices.end() ? std::optional(*found) : std::nullopt;
  };
  return make_field(target, "NAME", accepts, read, same);
}

std::string one_of(const std::vector<std::string>& names) { return fmt::format("one of {}", fmt::join(names, ", ")); }

}  // namespace hebm::detail

namespace hebm {
namespace {

using detail::Field;
using detail::Section;

constexpr std::array kBuiltIn = {"config", "preset", "print-value", "dry-run", "help", "help-all"};

}  // namespace

Options& Options::add(Field field, const std::string& key, const std::string& help, Show show) {
  const std::size_t dot = key.rfind('.');
  check(dot == std::string::npos ? !key.empty() : dot > 0 && dot + 1 < key.size(), ExitCode::kRuntime,
      "option '{}' is declared with an empty section or name; keys are section.name, or name alone", key);
  const bool fresh = std::ranges::find(kBuiltIn, key) == kBuiltIn.end() && by_key_.emplace(key, fields_.size()).second;
  check(fresh, ExitCode::kRuntime, "option '{}' is declared twice", key);
  field.key = key;
  field.help = help;
  field.show = show;
  field.default_text = field.text();
  check(field.assign(field.default_text), ExitCode::kRuntime, "option '{}': its default '{}' is not {}", key,
      field.default_text, field.accepts);
  fields_.push_back(std::move(field));
  return *this;
}

Field* Options::find(const std::string& key) {
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? nullptr : &fields_[it->second];
}

std::string Options::suggestion(const std::string& key, const char* prefix) const {
  const bool in_file = *prefix == '\0';
  std::vector<std::string> names;
  if (!in_file) names.assign(kBuiltIn.begin(), kBuiltIn.end());
  for (const Field& field : fields_) {
    if (!in_file || !field.section().empty()) names.push_back(field.key);
  }
  const std::optional<std::string> near = detail::nearest(key, names);
  return near ? fmt::format("; did you mean {}{}?", prefix, *near) : "; --help-all lists what there is";
}

void Options::read_file(const std::string& path) {
  const std::string shown = printable(path);
  for (const detail::IniEntry& entry : detail::parse_ini(shown, detail::read_config_file(path))) {
    Field* field = find(entry.key);
    if (field == nullptr && foreign_.contains(entry.key)) continue;
    const std::string place = fmt::format("{}:{}", shown, entry.line);
    if (field == nullptr) {
      fail(ExitCode::kUsage, "{}: unknown key {}{}", place, printable(entry.key), suggestion(entry.key, ""));
    }
    field->set(entry.value, shown, place);
  }
}

void Options::outside_fingerprint(const std::function<void()>& declare) {
  std::size_t next = fields_.size();
  declare();
  for (; next < fields_.size(); ++next) fields_[next].in_fingerprint = false;
}

std::vector<Section> Options::sections() const {
  std::vector<Section> out;
  for (const Field& field : fields_) {
    auto section = std::ranges::find(out, field.section(), &Section::name);
    if (section == out.end()) section = out.insert(out.end(), {field.section(), {}});
    section->fields.push_back(&field);
  }
  return out;
}

std::string Options::dump() const {
  std::string text;
  for (const Section& section : sections()) {
    if (section.name.empty()) continue;  // of the command line only
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section.name);
    for (const Field* field : section.fields) {
      text += fmt::format("{} = {}  # {}\n", field->name(), detail::quote(field->text()), field->origin);
    }
  }
  return text;
}

Options::Pairs Options::values(bool (*wanted)(const Field&)) const {
  Pairs out;
  for (const auto& [key, index] : by_key_) {
    const Field& field = fields_[index];
    if (!field.section().empty() && wanted(field)) out.emplace_back(key, field.text());
  }
  return out;
}

}  // namespace hebm
