// What has to be run: the shared part once, then each member.
#pragma once
#include <filesystem>
#include <string>
#include <vector>
#include "sweep/plan.h"
#include "sweep/state.h"

namespace hebm::sweep {

struct Step {
  std::string command;               // "train"
  std::vector<std::string> options;  // all of them
};

struct Task {
  std::string label;
  std::filesystem::path folder;
  std::vector<Step> steps{};
  std::vector<std::filesystem::path> products{};  // all there: done
  State state() const { return state_of(folder, products); }
};

// train-vae, train-features and encode, without those whose result the sweep's file gives (run.vae,
// run.features, run.cache).
Task shared_task(const Layout& layout, const Plan& plan);
// train, sample, evaluate.
Task member_task(const Layout& layout, const Plan& plan, const Member& member);

}  // namespace hebm::sweep
