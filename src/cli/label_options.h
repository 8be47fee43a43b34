// What `couple`, `labels`, `compose` and `sample --label` share: which labelled prior of a run is
// meant, and how its chains at t = 0 go.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/inputs.h"
#include "prior/label_heads.h"

namespace hebm::cli {

struct LabelOptions {
  std::string name = "labels";  // RUN/prior-NAME
  std::int64_t steps = 0;       // K at t = 0; 0: what the prior was coupled with, there langevin.steps
  double guidance = 1.0;
  std::int64_t candidates = 16;          // draws that one is chosen of (prior/label_draws.h)
  void describe(Options& options);       // --name and the keys
  void describe_keys(Options& options);  // couple.steps, couple.guidance, couple.candidates: those of an INI alone
};

// How `couple` learns, beside train.*.
struct CoupleOptions {
  std::string from = "prior";   // or nothing
  std::string levels = "auto";  // zero, all
  std::int64_t updates = 300;
  double learning_rate = 0.0;  // 0: train.learning_rate
  double weight = 1.0;         // of the cross-entropy
  void describe(Options& options);
};

// Error(kUsage): characters that make no file name, or empty.
void check_plain_name(const std::string& name, const std::string& option);
// RUN/prior-NAME; names of the other kinds of prior are refused.
std::filesystem::path labelled_directory(const RunOptions& run, const std::string& name);
// run.prior where it is given, else the prior in labelled_directory.
std::filesystem::path labelled_prior(const RunOptions& run, const std::string& name);

// Error(kUsage) where the prior has no label heads.
void expect_heads(const prior::LoadedPrior& prior, const std::filesystem::path& file);
// langevin with K at t = 0 as the options and the prior's identity say.
prior::LangevinOptions labelled_langevin(prior::LangevinOptions langevin, const LabelOptions& labels,
                                         const prior::LoadedPrior& prior);
// How draws for a label depend on the options: part of the identity of what they make.
nlohmann::json label_identity(const LabelOptions& labels, const prior::LangevinOptions& langevin);

// "CATEGORY" of a prior with one head, or "LABEL=CATEGORY,LABEL=CATEGORY" -> a category of every
// head, -1 where none is named. Error(kUsage) with the names that there are.
std::vector<std::int64_t> chosen_categories(const std::string& text, const prior::LabelHeads& heads);
// label-NAME-CATEGORY, with '-' for what is no letter or digit.
std::string label_file_name(const std::string& name, const std::string& label);

}  // namespace hebm::cli
