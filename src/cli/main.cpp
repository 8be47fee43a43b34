// hebm_dist COMMAND ...: dispatch, and the one place where an error becomes words and an exit code.
#include <fmt/format.h>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string_view>
#include "base/error.h"
#include "base/host.h"
#include "base/version.h"
#include "cli/command.h"
#include "comm/communicator.h"

namespace {

using hebm::cli::Arguments;

void print_help() {
  std::cout
      << "hebm_dist " << hebm::kVersion
      << ": diffusion of hierarchical energy-based priors in the latent space of deep VAEs (Cui & Han, ICML 2024)\n\n"
         "Usage: hebm_dist COMMAND [--config FILE.ini] [--section.key VALUE ...]\n"
         "       mpirun -np 32 hebm_dist train --config FILE.ini\n\nCommands, in the order of a run:\n";
  for (const auto& c : hebm::cli::commands()) std::cout << fmt::format("  {:<15} {}\n", c.name, c.about);
  std::cout
      << "\n`hebm_dist COMMAND --help` shows the common options, `--help-all` all, `--dry-run` what would be done.\n"
         "Run the same command again to resume. Exit codes: 0 done, 1 runtime error, 2 usage, 3 diverged, 4 corrupt "
         "data,\n"
         "5 environment, 6 a peer was lost, 75 saved and wants to be run again.\n";
}

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
  return fmt::format(" rank {} on {}:", rank, hebm::host_name());
}

int run(const std::vector<std::string>& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help();
    return args.empty() ? static_cast<int>(hebm::ExitCode::kUsage) : 0;
  }
  if (args[0] == "--version") {
    std::cout << "hebm_dist " << hebm::kVersion << "\n";
    return 0;
  }
  if (const auto* command = hebm::cli::find_command(args[0])) return run_command(*command, Arguments(args).subspan(1));
  hebm::fail(hebm::ExitCode::kUsage, "unknown command '{}'; `hebm_dist --help` lists them", args[0]);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const hebm::Error& e) {
    // Wrong use, and what ranks agreed on, is the same on all of them: rank 0 says it. Everything
    // else is said with its rank. The launcher combines the exit codes.
    const std::string rank = launch_rank();
    const bool of_all =
        e.code() == hebm::ExitCode::kUsage || dynamic_cast<const hebm::comm::AgreedError*>(&e) != nullptr;
    if (!of_all || rank.empty() || rank == "0")
      std::cerr << "hebm_dist:" << (of_all ? "" : who()) << " error: " << e.what() << std::endl;
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    std::cerr << "hebm_dist:" << who() << " internal error: " << e.what() << std::endl;
    return static_cast<int>(hebm::ExitCode::kRuntime);
  }
}
