#include "cli/drawing.h"
#include <algorithm>
#include <cctype>
#include <charconv>
#include "base/error.h"
#include "base/text.h"
#include "cli/prior_kind.h"
#include "storage/lenient_json.h"

namespace hebm::cli {

void DrawingOptions::describe(Options& o) {
  options_ = &o;
  langevin.describe(o);
  o.add("sample.steps", &sample_steps_,
       "Langevin steps a level of all that draws from a trained prior; 0: langevin.steps. More than the training's can "
       "leave the posterior: judge them by fd_posterior",
       {0, 1000000}, Show::kCommon)
      .outside_fingerprint();
  std::vector<std::string> chains = {kAnyChain};
  for (const auto& choice : choices_of(train::TrainingChain())) chains.emplace_back(choice.name);
  o.add_choice("train.chain", &chain_, std::move(chains), "the chains that the prior must have been trained on")
      .outside_fingerprint();
}

void DrawingOptions::resolve() {
  given_steps_ = langevin.steps;
  if (sample_steps_ > 0) langevin.steps = sample_steps_;
}

void DrawingOptions::expect_trained(const prior::PriorInfo& prior) const {
  const std::string trained = trained_with(prior, "train.chain").value_or(chain_);
  check(chain_ == kAnyChain || chain_ == trained || !prior_kind(prior.kind).has_levels, ExitCode::kUsage,
      "train.chain: the prior was trained with {}, you ask for {}; give the training's, or train it again", trained,
      chain_);
  expect_same_chains(*options_, prior, {.steps = sample_steps_ > 0 || langevin.steps != given_steps_});
}

void DrawingOptions::resolve_zero(std::int64_t couple_steps, const prior::LoadedPrior& prior) {
  langevin.zero_steps = couple_steps;
  const std::string trained = storage::text_in(prior.fingerprint, "couple.steps");
  if (couple_steps == 0) std::from_chars(trained.data(), trained.data() + trained.size(), langevin.zero_steps);
}

void LabelOptions::describe(Options& o) {
  o.add("name", &name, "the labelled prior: RUN/prior-NAME", Show::kCommon);
  o.add("couple.steps", &steps,
      "K, Langevin steps at t = 0 of a prior with labels; 0: what it was coupled with (couple: langevin.steps)",
      {0, 1000000}, Show::kCommon);
  o.add("couple.guidance", &guidance, "factor of log p(y | u_0) in the chain for a label (paper: 1)", {0.0, 1000.0},
       Show::kCommon)
      .outside_fingerprint();
  o.add("couple.candidates", &candidates,
       "draws without a label for each image with one, of which one is taken by p(y | u_0) and goes up the label from "
       "there; 1: u_1 without regard to the label (paper)",
       {1, 100000}, Show::kCommon)
      .outside_fingerprint();
}

void check_plain_name(const std::string& name, const std::string& option) {
  constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  const bool plain =
      !name.empty() && name.size() <= 100 && name[0] != '.' && name.find_first_not_of(kPlain) == std::string::npos;
  check(plain, ExitCode::kUsage,
      "{}: the result cannot be called \"{}\": expected up to 100 letters, digits, '-', '_' and '.'", option, name);
}

std::filesystem::path labelled_directory(const RunOptions& run, const std::string& name) {
  check_plain_name(name, "--name");
  check(find_prior_kind(name) == nullptr, ExitCode::kUsage,
      "--name {}: that is a kind of prior without labels; choose another name", name);
  return RunPaths(run).run / storage::run_files::prior_folder(name);
}

std::filesystem::path labelled_prior(const RunOptions& run, const std::string& name) {
  const auto own = labelled_directory(run, name) / storage::run_files::kPriorFile;
  return run.prior.empty() ? own : std::filesystem::path(run.prior);
}

void expect_heads(const prior::LoadedPrior& prior, const std::filesystem::path& file) {
  check(!prior.prior->heads().empty(), ExitCode::kUsage,
      "{}: this prior has no label heads; `hebm_dist couple` makes one that has", file.string());
}

nlohmann::json label_fingerprint(const LabelOptions& labels, const prior::LangevinOptions& langevin) {
  return {{"couple.steps", langevin.zero_steps}, {"couple.guidance", labels.guidance},
      {"couple.candidates", labels.candidates}};
}

std::vector<std::int64_t> chosen_categories(const std::string& text, const prior::LabelHeads& heads) {
  std::vector<std::int64_t> out(heads.size(), -1);
  if (heads.size() == 1 && text.find('=') == std::string::npos) return {prior::category_named(heads[0], text)};
  for (const std::string& part : split(text, ',')) {
    const auto equals = part.find('=');
    check(equals != std::string::npos, ExitCode::kUsage, "--label {}: the prior has {} labels; expected LABEL=CATEGORY",
        text, heads.size());
    const std::size_t head = prior::head_named(heads, part.substr(0, equals));
    check(out[head] < 0, ExitCode::kUsage, "--label {}: '{}' is there twice", text, heads[head].name);
    out[head] = prior::category_named(heads[head], part.substr(equals + 1));
  }
  return out;
}

std::string label_file_name(const std::string& name, const std::string& label) {
  std::string out = "label-" + name + "-" + label;
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; }, '-');
  return out;
}

}  // namespace hebm::cli
