// A command of hebm_dist is a class in a file of its own, and a row in commands.cpp. It says which
// options it has and what it does with them; main.cpp is the rest, once for all: parsing, help,
// errors and exit codes.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "base/options.h"
#include "base/text.h"

namespace hebm::cli {

using Arguments = std::span<const std::string>;
using Lines = std::vector<std::string>;

// A command that was called: its options are parsed, and in the command's fields.
struct Invocation {
  std::string_view command;
  const Options& options;
  bool dry_run = false;
};

class Command {
 public:
  // Both for --help: base/options.h.
  Command(std::string usage_of, std::string about_of) : usage(std::move(usage_of)), about(std::move(about_of)) {}
  virtual ~Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  const std::string usage, about;
  virtual void declare(Options& options) = 0;
  // Whether --config may be the INI of a whole pipeline, with keys of other commands.
  virtual bool reads_pipeline_ini() const { return false; }
  // The arguments as `declare` names them.
  virtual std::vector<std::string> words(Arguments args) const { return {args.begin(), args.end()}; }
  // declare(), then the values of args; with the keys of other commands in one INI.
  Options::Action parse(Options& options, Arguments args);
  // Returns the exit code.
  virtual int execute(const Invocation& call) = 0;
};

struct CommandRow {
  std::string_view name, about;
  std::unique_ptr<Command> (*make)();
};
// The command of a name; each is defined in the file of that name, or the program does not link.
template <Literal kName> std::unique_ptr<Command> make_command();
template <Literal kName> constexpr CommandRow row(std::string_view about) {
  return {kName.text, about, make_command<kName>};
}
std::span<const CommandRow> commands();                 // in the order of a run
const CommandRow* find_command(std::string_view name);  // or null
void print_help();                                      // of the program
// The keys of all commands that work on a run directory.
std::vector<std::string> pipeline_keys();

// --dry-run: prints the resolved configuration and these lines.
void print_dry_run(const Options& options, const Lines& lines);

}  // namespace hebm::cli
