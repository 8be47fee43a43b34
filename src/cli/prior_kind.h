// The priors that can be compared on one backbone and cache (Table 1), by prior.kind. What tells
// one from another is what make_kind says of it; a run directory may hold one of each.
#pragma once
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "base/options.h"
#include "base/text.h"
#include "evaluate/evaluate.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "prior/reverse_chain.h"
#include "sample/sample.h"
#include "train/diffusion.h"

namespace hebm::cli {

// Options that a kind has for itself.
struct KindOptions {
  virtual ~KindOptions() = default;
  virtual void describe_training(Options&) {}
  virtual void describe_sampling(Options&) {}
};

struct DrawSettings {
  const prior::LangevinOptions& langevin;
  const KindOptions& own;
};

struct PriorKind {
  std::string_view name;
  std::string_view about;         // for the help of `train`; of one that is not trained, why
  std::string_view part = {};     // what a report calls its training
  std::string_view section = {};  // of its own options: "nce."
  std::unique_ptr<KindOptions> (*own)() = [] { return std::make_unique<KindOptions>(); };
  // Keys, and sections with a dot, that such a prior does not depend on, beside those of the levels
  // where it has none, and the other kinds' own: no part of its fingerprint.
  std::vector<std::string_view> without = {};
  // T levels of the schedule, and labels; else one level from N(0, I)
  // (prior::make_marginal_schedule).
  bool has_levels = false;
  // Factor of energy.gain.
  double (*gain)(const KindOptions&) = [](const KindOptions&) { return 1.0; };
  // What `train` learns; null: nothing.
  std::unique_ptr<train::Objective> (*objective)(
      const train::PriorTrainOptions&, const train::PriorInputs&, const train::TrainingRun&) = nullptr;
  bool learns_by_chains = true;
  // `sample`. The prior is null where nothing is learnt.
  sample::DrawLatents (*draw)(const prior::EnergyPrior*, const vae::Backbone&, const DrawSettings&) = nullptr;
  // What an image costs, for --dry-run: ", 3 levels of 30 Langevin steps".
  std::string (*draw_cost)(const prior::EnergyPrior&, const DrawSettings&) = nullptr;
  // What samples depend on beside VAE and sample.*.
  void (*draw_fingerprint)(nlohmann::json& out, const DrawSettings&) = [](nlohmann::json&, const DrawSettings&) {};
  // RUN/samples/FILE.h5.
  std::string (*file)(const PriorKind&, const KindOptions&) = [](const PriorKind& kind, const KindOptions&) {
    return std::string(kind.name);
  };
  // Rows of `evaluate --all`: the files that there may be, and their titles.
  struct Samples {
    std::string_view file, title;
  };
  std::vector<Samples> samples = {};
  evaluate::SamplingCost (*sampling_cost)(
      std::optional<std::int64_t> num_levels, const nlohmann::json& samples_fingerprint) = evaluate::chain_cost;
  // What rows of this kind differ in, behind the title.
  std::string (*variant)(std::optional<std::int64_t> num_levels, const nlohmann::json& samples_fingerprint) =
      [](std::optional<std::int64_t>, const nlohmann::json&) { return std::string(); };

  bool depends_on(std::string_view key) const;
  bool is_default() const;
  std::string folder() const;         // of a run directory: prior, prior-joint, prior-nce
  std::string train_command() const;  // for messages
};

// Of a name: the three of Eq. 4, 8 and 9 in prior_kind.cpp, others in a file of their own.
template <Literal kName> PriorKind make_kind();
std::span<const PriorKind> prior_kinds();
const PriorKind* find_prior_kind(std::string_view name);  // or null
const PriorKind& prior_kind(std::string_view name);       // of an option's value, which is checked
const PriorKind& default_prior_kind();                    // the paper's own
void add_prior_kind(Options& options, std::string* name, const std::string& help);

// What kinds that draw by chains have in their rows.
std::string chains_cost(const prior::EnergyPrior& prior, const DrawSettings& settings);
void chain_fingerprint(nlohmann::json& out, const DrawSettings& settings);
void marginal_fingerprint(nlohmann::json& out, const DrawSettings& settings);  // of one level
template <prior::NetOutput kOutput = prior::NetOutput::kScaled>
sample::DrawLatents chain_draws(const prior::EnergyPrior* prior, const vae::Backbone& vae, const DrawSettings& s) {
  return [chain = prior::ReverseChain(*prior, vae, s.langevin, kOutput)](
             const prior::ChainIds& ids) { return chain.sample(ids); };
}

// A command's options of all kinds.
class OwnOptions {
 public:
  OwnOptions() {
    for (const PriorKind& kind : prior_kinds()) all_[kind.name] = kind.own();
  }
  void describe_training(Options& options) {
    for (auto& [name, own] : all_) own->describe_training(options);
  }
  void describe_sampling(Options& options) {
    for (auto& [name, own] : all_) own->describe_sampling(options);
  }
  const KindOptions& of(const PriorKind& kind) const { return *all_.at(kind.name); }
 private:
  std::map<std::string_view, std::unique_ptr<KindOptions>> all_;
};

}  // namespace hebm::cli
