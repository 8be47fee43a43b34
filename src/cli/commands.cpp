#include <algorithm>
#include <array>

#include "cli/command.h"

namespace hebm::cli {
namespace {

constexpr std::array kCommands = {
    Command{"train-vae", "train the hierarchical VAE (Sec. 2.1)", train_vae_command},
    Command{"train-features", "train the classifier whose features the scores use", train_features_command},
    Command{"encode", "draw u_0 for all images into the latent cache", encode_command},
    Command{"train", "train the diffusion EBM prior (Alg. 1)", train_command},
    Command{"sample", "draw images from the prior (Alg. 2)", sample_command},
    Command{"evaluate", "score Gaussian prior, reconstructions and samples", evaluate_command},
    Command{"ood", "tell images of another data set by the energy of upper layers (Sec. 5.2)", ood_command},
    Command{"transition", "states along the Langevin chains, with curves (Fig. 6, 7)", transition_command},
    Command{"vary", "some latent layers of samples drawn anew, the others kept (Fig. 2)", vary_command},
    Command{"couple", "couple the prior with labels at t = 0 (Eq. 14, 18-21)", couple_command},
    Command{"labels", "p(y | u_0) of test images, and images drawn for each label (Fig. 5)", labels_command},
    Command{"compose", "several attributes step by step at several layers (Fig. 4)", compose_command},
    Command{"replay", "a recorded case through every stage, with the largest errors", replay_command},
    Command{"report", "one self-contained HTML page of a run; an index over several", report_command},
    Command{"status", "is a run done, resumable or failed, from its files", status_command},
    Command{"sweep", "plan | run | status | retry | collect of an ablation", sweep_command},
    Command{"cache", "info | verify of a latent cache", cache_command},
    Command{"doctor", "versions, launcher, placement, all-reduce check", doctor_command},
    Command{"bench", "langevin | draw | allreduce | cache against measured limits", bench_command},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  const auto found = std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& c) { return c.name == name; });
  return found == kCommands.end() ? nullptr : &*found;
}

}  // namespace hebm::cli
