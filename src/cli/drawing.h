// How chains that draw from a trained prior go (K of sample.steps), and, for `couple`, `labels`,
// `compose` and `sample --label`, which labelled prior of a run is meant and how its chains at t =
// 0 go. K of each chain ends up in prior::LangevinOptions::steps_at.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/signals.h"
#include "cli/inputs.h"
#include "prior/label_heads.h"

namespace hebm::cli {

struct DrawingOptions {
  prior::LangevinOptions langevin;
  void describe(Options& options);  // langevin.*, sample.steps
  void resolve();                   // sample.steps, where given, is langevin's K
  // The chains of `langevin` end with Error(kRequeue) where a stop is asked for (comm/chunks.h).
  void listen(const StopFlag& stop) { stop_ = &stop; }
  // Error(kUsage) where train.chain or what the chains have is not what the prior was trained with
  // (inputs.h). K that sample.steps or a command's own option gives may differ.
  void expect_trained(const prior::PriorInfo& prior) const;
  // couple.steps, else K that the prior was coupled with, is langevin's K at t = 0.
  void resolve_zero(std::int64_t couple_steps, const prior::LoadedPrior& prior);
 private:
  const Options* options_ = nullptr;
  const StopFlag* stop_ = nullptr;
  std::int64_t sample_steps_ = 0, given_steps_ = 0;  // 0: langevin.steps; that as it was given
  std::string chain_ = kAnyChain;                    // train.chain
  static constexpr const char* kAnyChain = "any";
};

struct LabelOptions {
  std::string name = "labels";  // RUN/prior-NAME
  std::int64_t steps = 0;       // couple.steps
  double guidance = 1.0;
  std::int64_t candidates = 16;     // draws that one is chosen of (prior/reverse_chain.h)
  void describe(Options& options);  // --name, couple.steps, couple.guidance, couple.candidates
};

// Error(kUsage): characters that make no file name, or empty.
void check_plain_name(const std::string& name, const std::string& option);
// RUN/prior-NAME; names of the other kinds of prior are refused.
std::filesystem::path labelled_directory(const RunOptions& run, const std::string& name);
// run.prior where it is given, else the prior in labelled_directory.
std::filesystem::path labelled_prior(const RunOptions& run, const std::string& name);

// Error(kUsage) where the prior has no label heads.
void expect_heads(const prior::LoadedPrior& prior, const std::filesystem::path& file);
// How draws for a label depend on the options: part of the fingerprint of what they make.
nlohmann::json label_fingerprint(const LabelOptions& labels, const prior::LangevinOptions& langevin);

// "CATEGORY" of a prior with one head, or "LABEL=CATEGORY,LABEL=CATEGORY" -> a category of every
// head, -1 where none is named. Error(kUsage) with the names that there are.
std::vector<std::int64_t> chosen_categories(const std::string& text, const prior::LabelHeads& heads);
// label-NAME-CATEGORY, with '-' for what is no letter or digit.
std::string label_file_name(const std::string& name, const std::string& label);

}  // namespace hebm::cli
