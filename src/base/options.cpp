#include "base/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/options_field.h"
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

struct Options::Impl {
  std::string usage, about;
  std::vector<Field> fields;
  std::map<std::string, std::size_t> by_key;
  std::vector<Positional> positionals;
  std::vector<std::function<void()>> checks;
  std::set<std::string> foreign;  // keys of other commands

  void add(Field field, const std::string& key, const std::string& help, Show show);
  Field* find(const std::string& key);
  std::string suggestion(const std::string& key, const char* prefix) const;
  void assign(Field& field, const std::string& value, const std::string& origin, const std::string& place);
  void read_file(const std::string& path);
  std::vector<std::pair<std::string, std::string>> values(bool (*wanted)(const Field&)) const;  // sorted
  void assign_positionals(const std::vector<std::string>& values);
  po::options_description describe(bool all) const;
  std::vector<std::string> normalise(std::span<const std::string> args);
  std::vector<po::option> parse_command_line(std::span<const std::string> args);
};

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

void Options::Impl::assign(Field& field, const std::string& value, const std::string& origin,
                           const std::string& place) {
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

void Options::Impl::assign_positionals(const std::vector<std::string>& values) {
  std::size_t next = 0;
  for (const Positional& positional : positionals) {
    if (positional.many != nullptr) {
      if (next < values.size())
        positional.many->assign(values.begin() + static_cast<std::ptrdiff_t>(next), values.end());
      next = std::max(next, values.size());
    } else if (next < values.size()) {
      *positional.one = values[next++];
    } else {
      check(!positional.required, ExitCode::kUsage, "the argument {} is missing; usage: {}", positional.name, usage);
    }
  }
  if (next == values.size()) return;
  fail(ExitCode::kUsage, "unexpected argument '{}'; usage: {}", detail::printable(values[next]), usage);
}

// One group a section, in the order of declaration; what Boost parses and what the help prints.
po::options_description Options::Impl::describe(bool all) const {
  po::options_description everything("", kColumns, kColumns / 2);
  po::options_description general("general", kColumns, kColumns / 2);
  general.add_options()("config", po::value<std::string>()->value_name("FILE"),
                        "INI file; may be given several times, "
                        "later ones win, the command line wins over all")(
      "preset", po::value<std::string>()->value_name("NAME"),
      "the INI file configs/NAME.ini that comes with the program, as by --config")(
      "dry-run",
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
      const std::string text = fmt::format("{} (default {}; {})", field.help,
                                           field.default_text.empty() ? "empty" : field.default_text, field.accepts);
      group.add_options()(field.key.c_str(), po::value<std::string>()->value_name(field.value_name), text.c_str());
    }
    if (!group.options().empty()) everything.add(group);
  }
  return everything.add(general);
}

// Boost takes no empty value after "=", and takes any next argument for the value of a bool: only a
// bool's word is one.
std::vector<std::string> Options::Impl::normalise(std::span<const std::string> args) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      out.insert(out.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
      break;
    }
    const bool option = arg.starts_with("--");
    const Field* field = option ? find(arg.substr(2)) : nullptr;
    if (field != nullptr && field->is_bool) {
      const bool follows = i + 1 < args.size() && detail::parse_bool(args[i + 1]);
      out.push_back(arg + '=' + (follows ? args[++i] : "true"));
    } else if (option && arg.size() > 3 && arg.find('=') == arg.size() - 1) {
      out.push_back(arg.substr(0, arg.size() - 1));
      out.emplace_back();
    } else {
      out.push_back(arg);
    }
  }
  return out;
}

std::vector<po::option> Options::Impl::parse_command_line(std::span<const std::string> args) {
  namespace style = po::command_line_style;
  const po::options_description description = describe(true);
  std::vector<po::option> options;
  try {
    options = po::command_line_parser(normalise(args))
                  .options(description)
                  .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                  .allow_unregistered()
                  .run()
                  .options;
  } catch (const po::error& e) {
    fail(ExitCode::kUsage, "command line: {}; --help shows the options", detail::printable(e.what()));
  }
  for (const po::option& option : options) {
    if (option.position_key != -1) continue;
    if (option.unregistered) {
      fail(ExitCode::kUsage, "unknown option --{}{}{}", detail::printable(option.string_key),
           foreign.contains(option.string_key) ? ": it belongs to another command" : "",
           suggestion(option.string_key, "--"));
    }
    // `--a.b --c`: Boost gives "--c" to a.b where c is unknown.
    if (option.original_tokens.size() < 2 || !option.original_tokens[1].starts_with("--")) continue;
    fail(ExitCode::kUsage, "--{} needs a value, got '{}'; write --{}=VALUE if that is meant", option.string_key,
         detail::printable(option.original_tokens[1]), option.string_key);
  }
  return options;
}

Options::Options(std::string usage, std::string about) : impl_(std::make_unique<Impl>()) {
  impl_->usage = std::move(usage);
  impl_->about = std::move(about);
}
Options::~Options() = default;

Options& Options::add(const std::string& key, std::int64_t* target, const std::string& help,
                      Bounds<std::int64_t> bounds, Show show) {
  impl_->add(detail::integer_field(target, bounds), key, help, show);
  return *this;
}

Options& Options::add(const std::string& key, double* target, const std::string& help, Bounds<double> bounds,
                      Show show) {
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

Options& Options::add_choice(const std::string& key, std::string* target, std::vector<std::string> choices,
                             const std::string& help, Show show) {
  return add_choice(
      key, std::move(choices), [target](const std::string& name) { *target = name; }, [target] { return *target; },
      help, show);
}

Options& Options::add_choice(const std::string& key, std::vector<std::string> names,
                             std::function<void(const std::string&)> set, std::function<std::string()> text,
                             const std::string& help, Show show) {
  impl_->add(detail::choice_field(std::move(names), std::move(set), std::move(text)), key, help, show);
  return *this;
}

Options& Options::add_list(const std::string& key, std::vector<std::int64_t>* target, const std::string& help,
                           Bounds<std::int64_t> bounds, Show show) {
  impl_->add(detail::integer_list_field(target, bounds), key, help, show);
  return *this;
}

Options& Options::add_list(const std::string& key, std::vector<double>* target, const std::string& help,
                           Bounds<double> bounds, Show show) {
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

Options::Action Options::parse(std::span<const std::string> args) {
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg != "--help" && arg != "-h" && arg != "--help-all") continue;
    detail::print_to_stdout(help(arg == "--help-all"));
    return Action::kHelpShown;
  }
  const std::vector<po::option> options = impl_->parse_command_line(args);
  for (const po::option& option : options) {
    if (option.string_key == "config") impl_->read_file(option.value.at(0));
    if (option.string_key == "preset") impl_->read_file(detail::preset_file(option.value.at(0)));
  }
  bool dry_run = false;
  std::vector<std::string> positionals;
  for (const po::option& option : options) {
    if (option.position_key != -1) {
      positionals.insert(positionals.end(), option.value.begin(), option.value.end());
    } else if (option.string_key == "dry-run") {
      dry_run = true;
    } else if (Field* field = impl_->find(option.string_key)) {
      impl_->assign(*field, option.value.at(0), "command line", "command line");
    }
  }
  impl_->assign_positionals(positionals);
  for (const auto& check : impl_->checks) check();
  return dry_run ? Action::kDryRun : Action::kRun;
}

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
