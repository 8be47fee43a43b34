#include <algorithm>
#include <array>
#include <iostream>
#include "cli/context.h"
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

constexpr std::array kCommands = {
    row<"train-vae">("train the hierarchical VAE (Sec. 2.1)"),
    row<"train-features">("train the classifier whose features the scores use"),
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
    row<"bench">("langevin | draw | allreduce | cache against measured limits"),
};

Options::Action parse(Command& command, Options& options, Arguments args) {
  command.declare(options);
  if (command.reads_pipeline_ini()) options.allow_known(pipeline_keys());
  return options.parse(command.words(args));
}

}  // namespace

std::span<const CommandRow> commands() { return kCommands; }

const CommandRow* find_command(std::string_view name) {
  const auto found = std::ranges::find(kCommands, name, &CommandRow::name);
  return found == kCommands.end() ? nullptr : &*found;
}

int run_command(const CommandRow& row, Arguments args) {
  const auto command = row.make();
  Options options(command->usage, command->about);
  const auto action = parse(*command, options, args);
  if (action == Options::Action::kHelpShown) return 0;
  return command->execute({row.name, options, action == Options::Action::kDryRun});
}

Lines plan_lines(const CommandRow& row, Arguments args) {
  const auto command = row.make();
  Options options(command->usage, command->about);
  parse(*command, options, args);
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
