// The command line and the help, by Boost.Program_options.
#include <fmt/format.h>
#include <boost/program_options.hpp>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <regex>
#include <sstream>
#include "base/error.h"
#include "base/options.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "base/text.h"

namespace hebm {

namespace po = boost::program_options;
using detail::Field;

namespace {

constexpr unsigned kColumns = 100;

// Each line by itself, at blanks; one that starts with a blank (a command to copy) stays as it is.
std::string wrapped(const std::string& text) {
  static const std::regex row(fmt::format("(.{{1,{}}})(?: |$)", kColumns));
  std::string out;
  for (const std::string& line : split(text, '\n')) {
    const bool stays = line.empty() || line.starts_with(' ');
    out += stays ? line + '\n' : std::regex_replace(line, row, "$1\n");
  }
  out.pop_back();
  return out;
}

// One group a section; what Boost parses and what the help prints.
po::options_description describe(const std::vector<detail::Section>& sections, bool all) {
  po::options_description everything("", kColumns, kColumns / 2);
  for (const detail::Section& section : sections) {
    po::options_description group(section.name.empty() ? "options" : "[" + section.name + "]", kColumns, kColumns / 2);
    for (const Field* field : section.fields) {
      if (!all && field->show != Show::kCommon) continue;
      const std::string text = fmt::format("{} (default {}; {})", field->help,
          field->default_text.empty() ? "empty" : field->default_text, field->accepts);
      group.add_options()(field->key.c_str(), po::value<std::string>()->value_name(field->value_name), text.c_str());
    }
    if (!group.options().empty()) everything.add(group);
  }
  po::options_description general("general", kColumns, kColumns / 2);
  general.add_options()("config", po::value<std::string>()->value_name("FILE"),
      "INI file; may be given several times, later ones win, the command line wins over all")("preset",
      po::value<std::string>()->value_name("NAME"),
      "the INI file configs/NAME.ini that comes with the program, as by --config")("print-value",
      po::value<std::string>()->value_name("KEY"), "print the value of this option, for scripts; run nothing")(
      "dry-run", "print the resolved configuration, sizes and costs; run nothing")("help", "the common options")(
      "help-all", "all options");
  return everything.add(general);
}

}  // namespace

std::string Options::help(bool all) const {
  std::ostringstream out;
  out << "usage: " << usage_ << "\n\n" << wrapped(about_) << "\n\n";
  for (const Positional& positional : positionals_) {
    out << fmt::format("  {:<24} {}{}\n", positional.name, positional.help, positional.required ? "" : " (optional)");
  }
  out << describe(sections(), all);
  if (!all) out << "\n--help-all lists the rest.\n";
  return std::regex_replace(out.str(), std::regex(" +\n"), "\n");
}

void Options::assign_positionals(std::span<const std::string> left) {
  for (const Positional& positional : positionals_) {
    check(!left.empty() || !positional.required, ExitCode::kUsage, "the argument {} is missing; usage: {}",
        positional.name, usage_);
    if (left.empty()) continue;
    if (positional.many != nullptr) {
      positional.many->assign(left.begin(), left.end());
    } else {
      *positional.one = left.front();
    }
    left = left.subspan(positional.many != nullptr ? left.size() : 1);
  }
  if (left.empty()) return;
  fail(ExitCode::kUsage, "unexpected argument '{}'; usage: {}", printable(left.front()), usage_);
}

// Boost takes no empty value after "=", and for a bool any next argument, not only its words.
std::vector<std::string> Options::normalise(std::span<const std::string> args) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      out.insert(out.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
      break;
    }
    const bool option = arg.starts_with("--");
    const Field* field = option ? find(arg.substr(2)) : nullptr;
    if (field != nullptr && field->is_bool()) {
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

Options::Pairs Options::parse_command_line(std::span<const std::string> args) {
  namespace style = po::command_line_style;
  const po::options_description description = describe(sections(), true);
  Pairs out;
  try {
    const auto parsed = po::command_line_parser(normalise(args))
                            .options(description)
                            .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                            .allow_unregistered()
                            .run();
    for (const po::option& option : parsed.options) {
      const std::string key = option.position_key == -1 ? option.string_key : "";
      if (option.unregistered) {
        fail(ExitCode::kUsage, "unknown option --{}{}{}", printable(key),
            foreign_.contains(key) ? ": it belongs to another command" : "", suggestion(key, "--"));
      }
      const auto& tokens = option.original_tokens;
      if (!key.empty() && tokens.size() > 1 && tokens[1].starts_with("--")) {
        // `--a.b --c`: Boost gives "--c" to a.b where c is unknown.
        fail(ExitCode::kUsage, "--{} needs a value, got '{}'; write --{}=VALUE if that is meant", key,
            printable(tokens[1]), key);
      }
      out.emplace_back(key, option.value.empty() ? "" : option.value[0]);
    }
  } catch (const po::error& e) {
    fail(ExitCode::kUsage, "command line: {}; --help shows the options", printable(e.what()));
  }
  return out;
}

Options::Action Options::parse(std::span<const std::string> args) {
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg != "--help" && arg != "-h" && arg != "--help-all") continue;
    std::cout << help(arg == "--help-all") << std::flush;
    check(std::cout.good(), ExitCode::kRuntime, "cannot write to standard output: {}", std::strerror(errno));
    return Action::kHelpShown;
  }
  const Pairs given = parse_command_line(args);
  for (const auto& [key, value] : given) {
    if (key == "config") read_file(value);
    if (key == "preset") read_file(detail::preset_file(value));
  }
  bool dry_run = false;
  std::vector<std::string> positionals;
  for (const auto& [key, value] : given) {
    if (key.empty()) positionals.push_back(value);
    if (key == "dry-run") dry_run = true;
    if (Field* field = find(key)) field->set(value, "command line", "command line");
  }
  assign_positionals(positionals);
  for (const auto& check : checks_) check();
  if (const auto asked = std::ranges::find(given, "print-value", &Pairs::value_type::first); asked != given.end()) {
    const Field* const field = find(asked->second);
    check(field != nullptr, ExitCode::kUsage, "--print-value {}: there is no such option{}", printable(asked->second),
        suggestion(asked->second, ""));
    fmt::print("{}\n", field->text());  // its bytes as they are, not for a terminal
    return Action::kHelpShown;
  }
  return dry_run ? Action::kDryRun : Action::kRun;
}

}  // namespace hebm
