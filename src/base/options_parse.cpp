#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <sstream>
#include "base/error.h"
#include "base/options_impl.h"
#include "base/options_text.h"
#include "base/presets.h"

namespace hebm {

namespace po = boost::program_options;
using detail::Field;
using detail::Positional;

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

}  // namespace hebm
