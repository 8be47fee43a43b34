// hebm_dist COMMAND ...: the driver of every command, and the one place where an error becomes
// words and an exit code.
#include <fmt/format.h>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/host.h"
#include "base/printable.h"
#include "base/streams.h"
#include "base/version.h"
#include "cli/context.h"
#include "comm/communicator.h"

namespace hebm::cli {
namespace {

// "" without a launcher.
std::string launch_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    if (const char* rank = std::getenv(name)) return rank;
  }
  return "";
}

std::string who() {
  const std::string rank = launch_rank();
  if (rank.empty()) return "";
  return fmt::format(" rank {} on {}:", rank, host_name());
}

int run(const std::vector<std::string>& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help();
    return args.empty() ? static_cast<int>(ExitCode::kUsage) : 0;
  }
  if (args[0] == "--version") {
    std::cout << "hebm_dist " << kVersion << "\n";
    return 0;
  }
  const CommandRow* const row = find_command(args[0]);
  check(row != nullptr, ExitCode::kUsage, "unknown command '{}'; `hebm_dist --help` lists them", args[0]);
  const auto command = row->make();
  Options options(command->usage, command->about);
  const auto action = command->parse(options, Arguments(args).subspan(1));
  if (action == Options::Action::kHelpShown) return 0;
  return command->execute({row->name, options, action == Options::Action::kDryRun});
}

}  // namespace

// Of every command on a run directory. Of `train`: train.cpp.
int RunCommand::execute(const Invocation& call) {
  if (call.dry_run) {
    print_dry_run(call.options, dry_run());
    return 0;
  }
  resolve();
  const Folders own = folders(call);
  const nets::Gemm before = recorded_gemm(own.settings);
  nets::set_gemm(run_.gemm == nets::Gemm::kAuto ? before : run_.gemm);  // before any product
  open();
  Context context(run_, call, own);
  if (before != nets::Gemm::kAuto && before != nets::gemm())
    context.logger().line("note: matrices by {}, by {} when {} was begun: results differ by rounding",
        name_of(nets::gemm()), name_of(before), own.settings.string());
  const int code = work(context);
  if (code == static_cast<int>(ExitCode::kDone)) context.record_settings();
  return code;
}

}  // namespace hebm::cli

int main(int argc, char** argv) {
  hebm::fill_standard_streams();
  const hebm::SafeStreams safe;
  try {
    const int code = hebm::cli::run({argv + 1, argv + argc});
    const std::string problem = hebm::output_problem();
    hebm::check(code != 0 || problem.empty(), hebm::ExitCode::kRuntime, "cannot write to standard output: {}", problem);
    return code;
  } catch (const hebm::Error& e) {
    // Wrong use, and what ranks agreed on, is the same on all of them: rank 0 says it. Everything
    // else is said with its rank. The launcher combines the exit codes.
    const std::string rank = hebm::cli::launch_rank();
    const bool of_all =
        e.code() == hebm::ExitCode::kUsage || dynamic_cast<const hebm::comm::AgreedError*>(&e) != nullptr;
    if (!of_all || rank.empty() || rank == "0")
      std::cerr << "hebm_dist:" << (of_all ? "" : hebm::cli::who()) << " error: " << e.what() << std::endl;
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    std::cerr << "hebm_dist:" << hebm::cli::who() << " internal error: " << e.what() << std::endl;
    return static_cast<int>(hebm::ExitCode::kRuntime);
  }
}
