// The table of commands, and what is told of them before one is run.
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <iostream>
#include "base/version.h"
#include "cli/context.h"
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

constexpr std::array kCommands = {
    row<"train-vae">("train the hierarchical VAE (Sec. 2.1)"),
    row<"train-features">("train the classifier whose features the scores use"),
    row<"hierarchy">("what each latent layer of the VAE carries, without a prior"),
    row<"encode">("draw u_0 for all images into the latent cache"),
    row<"train">("train the diffusion EBM prior (Alg. 1)"),
    row<"sample">("draw images from the prior (Alg. 2)"),
    row<"evaluate">("score Gaussian prior, reconstructions and samples"),
    row<"ood">("tell images of another data set by the energy of upper layers (Sec. 5.2)"),
    experiment<"transition">("states along the Langevin chains, with curves (Fig. 6, 7)"),
    experiment<"vary">("some latent layers of samples drawn anew, the others kept (Fig. 2)"),
    row<"couple">("couple the prior with labels at t = 0 (Eq. 14, 18-21)"),
    experiment<"labels">("p(y | u_0) of test images, and images drawn for each label (Fig. 5)"),
    experiment<"compose">("several attributes step by step at several layers (Fig. 4)"),
    row<"replay">("a recorded case through every stage, with the largest errors"),
    row<"report">("one self-contained HTML page of a run; an index over several"),
    row<"status">("is a run done, resumable or failed, from its files"),
    row<"sweep">("plan | run | status | retry | collect of an ablation"),
    row<"cache">("info | verify of a latent cache"),
    row<"doctor">("versions, launcher, placement, all-reduce check"),
    row<"bench">("langevin | update | vae | draw | gemm | allreduce | cache against measured limits"),
};

}  // namespace

std::span<const CommandRow> commands() { return kCommands; }

const CommandRow* find_command(std::string_view name) {
  const auto found = std::ranges::find(kCommands, name, &CommandRow::name);
  return found == kCommands.end() ? nullptr : &*found;
}

void print_help() {
  std::cout
      << "hebm_dist " << kVersion
      << ": diffusion of hierarchical energy-based priors in the latent space of deep VAEs (Cui & Han, ICML 2024)\n\n"
         "Usage: hebm_dist COMMAND [--config FILE.ini] [--section.key VALUE ...]\n"
         "       mpirun -np 32 hebm_dist train --config FILE.ini\n\nCommands, in the order of a run:\n";
  for (const auto& c : kCommands) std::cout << fmt::format("  {:<15} {}\n", c.name, c.about);
  std::cout
      << "\n`hebm_dist COMMAND --help` shows the common options, `--help-all` all, `--dry-run` what would be done.\n"
         "Run the same command again to resume. Exit codes: 0 done, 1 runtime error, 2 usage, 3 diverged, 4 corrupt "
         "data,\n"
         "5 environment, 6 a peer was lost, 75 saved and wants to be run again.\n";
}

void RunCommand::declare(Options& options) {
  options.outside_fingerprint([&] { run_.describe(options); });
  describe(options);
}

Options::Action Command::parse(Options& options, Arguments args) {
  declare(options);
  if (reads_pipeline_ini()) options.allow_known(pipeline_keys());
  return options.parse(words(args));
}

Lines plan_lines(const CommandRow& row, Arguments args) {
  const auto command = row.make();
  Options options(command->usage, command->about);
  command->parse(options, args);
  return dynamic_cast<RunCommand&>(*command).dry_run();
}

std::vector<std::string> pipeline_keys() {
  std::vector<std::string> keys;
  for (const CommandRow& row : kCommands) {
    const auto command = row.make();
    if (dynamic_cast<const RunCommand*>(command.get()) == nullptr) continue;
    Options options("", "");
    command->declare(options);
    for (const auto& [key, value] : options.values()) keys.push_back(key);
  }
  return keys;
}

void print_dry_run(const Options& options, const Lines& lines) {
  std::cout << options.dump() << "\n";
  for (const auto& line : lines) std::cout << line << "\n";
}

}  // namespace hebm::cli
