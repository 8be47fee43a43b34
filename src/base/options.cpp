#include "base/options.h"
#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <sstream>
#include "base/error.h"
#include "base/options_impl.h"
#include "base/options_text.h"
#include "base/presets.h"

namespace hebm {
namespace {

namespace po = boost::program_options;
using detail::Field;
using detail::Positional;

constexpr unsigned kColumns = 100;
constexpr const char* kBuiltIn[] = {"config", "preset", "dry-run", "help", "help-all"};

}  // namespace

void Options::Impl::add(Field field, const std::string& key, const std::string& help, Show show) {
  const std::size_t dot = key.rfind('.');
  check(dot == std::string::npos ? !key.empty() : dot > 0 && dot + 1 < key.size(), ExitCode::kRuntime,
      "option '{}' is declared with an empty section or name; keys are section.name, or name alone", key);
  const bool fresh = std::find(std::begin(kBuiltIn), std::end(kBuiltIn), key) == std::end(kBuiltIn) &&
                     by_key.emplace(key, fields.size()).second;
  check(fresh, ExitCode::kRuntime, "option '{}' is declared twice", key);
  field.key = key;
  field.help = help;
  field.show = show;
  field.default_text = field.text();
  check(field.assign(field.default_text), ExitCode::kRuntime, "option '{}': its default '{}' is not {}", key,
      field.default_text, field.accepts);
  fields.push_back(std::move(field));
}

Field* Options::Impl::find(const std::string& key) {
  const auto it = by_key.find(key);
  return it == by_key.end() ? nullptr : &fields[it->second];
}

std::string Options::Impl::suggestion(const std::string& key, const char* prefix) const {
  const bool in_file = *prefix == '\0';
  std::vector<std::string> names;
  if (!in_file) names.assign(std::begin(kBuiltIn), std::end(kBuiltIn));
  for (const Field& field : fields) {
    if (!in_file || !field.section().empty()) names.push_back(field.key);
  }
  const std::optional<std::string> near = detail::nearest(key, names);
  return near ? fmt::format("; did you mean {}{}?", prefix, *near) : "; --help-all lists what there is";
}

void Options::Impl::assign(
    Field& field, const std::string& value, const std::string& origin, const std::string& place) {
  check(field.assign(value), ExitCode::kUsage, "{} = '{}' ({}): expected {}", field.key, detail::printable(value),
      place, field.accepts);
  field.origin = origin;
}

void Options::Impl::read_file(const std::string& path) {
  const std::string shown = detail::printable(path);
  for (const detail::IniEntry& entry : detail::parse_ini(shown, detail::read_config_file(path))) {
    Field* field = find(entry.key);
    if (field == nullptr && foreign.contains(entry.key)) continue;
    if (field == nullptr) {
      fail(ExitCode::kUsage, "{}:{}: unknown key {}{}", shown, entry.line, detail::printable(entry.key),
          suggestion(entry.key, ""));
    }
    assign(*field, entry.value, shown, fmt::format("{}:{}", shown, entry.line));
  }
}

std::vector<std::pair<std::string, std::string>> Options::Impl::values(bool (*wanted)(const Field&)) const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, index] : by_key) {
    const Field& field = fields[index];
    if (!field.section().empty() && wanted(field)) out.emplace_back(key, field.text());
  }
  return out;
}

// One group a section, in the order of declaration; what Boost parses and what the help prints.
po::options_description Options::Impl::describe(bool all) const {
  po::options_description everything("", kColumns, kColumns / 2);
  po::options_description general("general", kColumns, kColumns / 2);
  general.add_options()("config", po::value<std::string>()->value_name("FILE"),
      "INI file; may be given several times, "
      "later ones win, the command line wins over all")("preset", po::value<std::string>()->value_name("NAME"),
      "the INI file configs/NAME.ini that comes with the program, as by --config")("dry-run",
      "print the resolved configuration, sizes and costs; "
      "run nothing")("help", "the common options")("help-all", "all options");
  std::vector<std::string> sections;
  for (const Field& f : fields) {
    if (std::find(sections.begin(), sections.end(), f.section()) == sections.end()) sections.push_back(f.section());
  }
  for (const std::string& section : sections) {
    po::options_description group(section.empty() ? "options" : "[" + section + "]", kColumns, kColumns / 2);
    for (const Field& field : fields) {
      if (field.section() != section || (!all && field.show != Show::kCommon)) continue;
      const std::string text = fmt::format(
          "{} (default {}; {})", field.help, field.default_text.empty() ? "empty" : field.default_text, field.accepts);
      group.add_options()(field.key.c_str(), po::value<std::string>()->value_name(field.value_name), text.c_str());
    }
    if (!group.options().empty()) everything.add(group);
  }
  return everything.add(general);
}

Options::Options(std::string usage, std::string about) : impl_(std::make_unique<Impl>()) {
  impl_->usage = std::move(usage);
  impl_->about = std::move(about);
}
Options::~Options() = default;

Options& Options::add(
    const std::string& key, std::int64_t* target, const std::string& help, Bounds<std::int64_t> bounds, Show show) {
  impl_->add(detail::integer_field(target, bounds), key, help, show);
  return *this;
}

Options& Options::add(
    const std::string& key, double* target, const std::string& help, Bounds<double> bounds, Show show) {
  impl_->add(detail::double_field(target, bounds), key, help, show);
  return *this;
}

Options& Options::add(const std::string& key, bool* target, const std::string& help, Show show) {
  impl_->add(detail::bool_field(target), key, help, show);
  return *this;
}

Options& Options::add(const std::string& key, std::string* target, const std::string& help, Show show) {
  impl_->add(detail::text_field(target), key, help, show);
  return *this;
}

Options& Options::add_choice(
    const std::string& key, std::string* target, std::vector<std::string> choices, const std::string& help, Show show) {
  return add_choice(
      key, std::move(choices), [target](const std::string& name) { *target = name; }, [target] { return *target; },
      help, show);
}

Options& Options::add_choice(const std::string& key, std::vector<std::string> names,
    std::function<void(const std::string&)> set, std::function<std::string()> text, const std::string& help,
    Show show) {
  impl_->add(detail::choice_field(std::move(names), std::move(set), std::move(text)), key, help, show);
  return *this;
}

Options& Options::add_list(const std::string& key, std::vector<std::int64_t>* target, const std::string& help,
    Bounds<std::int64_t> bounds, Show show) {
  impl_->add(detail::integer_list_field(target, bounds), key, help, show);
  return *this;
}

Options& Options::add_list(
    const std::string& key, std::vector<double>* target, const std::string& help, Bounds<double> bounds, Show show) {
  impl_->add(detail::double_list_field(target, bounds), key, help, show);
  return *this;
}

void Options::outside_fingerprint() { impl_->fields.back().in_fingerprint = false; }

void Options::outside_fingerprint(const std::function<void()>& declare) {
  std::size_t next = impl_->fields.size();
  declare();
  for (; next < impl_->fields.size(); ++next) impl_->fields[next].in_fingerprint = false;
}

void Options::add_positional(const std::string& name, std::string* target, const std::string& help, bool required) {
  impl_->positionals.push_back({name, help, required, target, nullptr});
}

void Options::add_positional_list(const std::string& name, std::vector<std::string>* target, const std::string& help) {
  impl_->positionals.push_back({name, help, false, nullptr, target});
}

void Options::add_check(std::function<void()> check) { impl_->checks.push_back(std::move(check)); }

void Options::allow_known(std::vector<std::string> keys) { impl_->foreign.insert(keys.begin(), keys.end()); }

std::string Options::dump() const {
  std::vector<std::string> sections;
  std::map<std::string, std::string> body;
  for (const Field& field : impl_->fields) {
    if (field.section().empty()) continue;  // of the command line only
    std::string& lines = body[field.section()];
    if (lines.empty()) sections.push_back(field.section());
    lines += fmt::format("{} = {}  # {}\n", field.name(), detail::quote(field.text()), field.origin);
  }
  std::string text;
  for (const std::string& section : sections) {
    text += fmt::format("{}[{}]\n{}", text.empty() ? "" : "\n", section, body[section]);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> Options::values() const {
  return impl_->values([](const Field&) { return true; });
}

std::vector<std::pair<std::string, std::string>> Options::fingerprint() const {
  return impl_->values([](const Field& field) { return field.in_fingerprint; });
}

std::string Options::help(bool all) const {
  std::ostringstream out;
  out << "usage: " << impl_->usage << "\n\n" << detail::wrapped(impl_->about, kColumns) << "\n\n";
  for (const Positional& positional : impl_->positionals) {
    out << fmt::format("  {:<24} {}{}\n", positional.name, positional.help, positional.required ? "" : " (optional)");
  }
  out << impl_->describe(all);
  if (!all) out << "\n--help-all lists the rest.\n";
  return detail::without_trailing_blanks(out.str());
}

}  // namespace hebm
