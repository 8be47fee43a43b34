#include <algorithm>
#include <array>
#include <iostream>

#include "cli/command.h"
#include "cli/run_command.h"

namespace hebm::cli {

// Each in the file of its name. A new command is one line here, and its row below.
std::unique_ptr<Command> make_train_vae();
std::unique_ptr<Command> make_train_features();
std::unique_ptr<Command> make_encode();
std::unique_ptr<Command> make_train();
std::unique_ptr<Command> make_sample();
std::unique_ptr<Command> make_evaluate();
std::unique_ptr<Command> make_ood();
std::unique_ptr<Command> make_transition();
std::unique_ptr<Command> make_vary();
std::unique_ptr<Command> make_couple();
std::unique_ptr<Command> make_labels();
std::unique_ptr<Command> make_compose();
std::unique_ptr<Command> make_replay();
std::unique_ptr<Command> make_report();
std::unique_ptr<Command> make_status();
std::unique_ptr<Command> make_sweep();
std::unique_ptr<Command> make_cache();
std::unique_ptr<Command> make_doctor();
std::unique_ptr<Command> make_bench();

namespace {

constexpr std::array kCommands = {
    CommandRow{"train-vae", "train the hierarchical VAE (Sec. 2.1)", make_train_vae},
    CommandRow{"train-features", "train the classifier whose features the scores use", make_train_features},
    CommandRow{"encode", "draw u_0 for all images into the latent cache", make_encode},
    CommandRow{"train", "train the diffusion EBM prior (Alg. 1)", make_train},
    CommandRow{"sample", "draw images from the prior (Alg. 2)", make_sample},
    CommandRow{"evaluate", "score Gaussian prior, reconstructions and samples", make_evaluate},
    CommandRow{"ood", "tell images of another data set by the energy of upper layers (Sec. 5.2)", make_ood},
    CommandRow{"transition", "states along the Langevin chains, with curves (Fig. 6, 7)", make_transition},
    CommandRow{"vary", "some latent layers of samples drawn anew, the others kept (Fig. 2)", make_vary},
    CommandRow{"couple", "couple the prior with labels at t = 0 (Eq. 14, 18-21)", make_couple},
    CommandRow{"labels", "p(y | u_0) of test images, and images drawn for each label (Fig. 5)", make_labels},
    CommandRow{"compose", "several attributes step by step at several layers (Fig. 4)", make_compose},
    CommandRow{"replay", "a recorded case through every stage, with the largest errors", make_replay},
    CommandRow{"report", "one self-contained HTML page of a run; an index over several", make_report},
    CommandRow{"status", "is a run done, resumable or failed, from its files", make_status},
    CommandRow{"sweep", "plan | run | status | retry | collect of an ablation", make_sweep},
    CommandRow{"cache", "info | verify of a latent cache", make_cache},
    CommandRow{"doctor", "versions, launcher, placement, all-reduce check", make_doctor},
    CommandRow{"bench", "langevin | draw | allreduce | cache against measured limits", make_bench},
};

}  // namespace

std::span<const CommandRow> commands() { return kCommands; }

const CommandRow* find_command(std::string_view name) {
  const auto found = std::find_if(kCommands.begin(), kCommands.end(), [&](const auto& c) { return c.name == name; });
  return found == kCommands.end() ? nullptr : &*found;
}

int run_command(const CommandRow& row, Arguments args) {
  const auto command = row.make();
  Options options(command->usage(), command->about());
  command->declare(options);
  if (command->reads_pipeline_ini()) options.allow_known(pipeline_keys());
  const auto action = options.parse(command->words(args));
  if (action == Options::Action::kHelpShown) return 0;
  return command->execute({row.name, options, action == Options::Action::kDryRun});
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
