// The priors that can be compared on one backbone and cache (Table 1), by prior.kind. What tells
// one from another is its row in prior_kind.cpp; a run directory may hold one of each.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "base/options.h"
#include "prior/langevin.h"
#include "prior/nce.h"
#include "prior/potential.h"
#include "sample/draws.h"
#include "train/diffusion.h"

namespace hebm::cli {

struct DrawSettings {
  const prior::LangevinOptions& langevin;
  const prior::NceOptions& nce;
};

struct PriorKind {
  std::string_view name;
  // Keys, and sections with a dot, that such a prior does not depend on, beside those of the levels
  // where it has none: no part of its fingerprint.
  std::vector<std::string_view> without = {};
  // T levels of the schedule, and labels; else one level from N(0, I)
  // (prior::make_marginal_schedule).
  bool has_levels = false;
  // Factor of energy.gain.
  double (*gain)(const prior::NceOptions&) = [](const prior::NceOptions&) { return 1.0; };
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
  std::string (*file)(const PriorKind&, const prior::NceOptions&) =
      [](const PriorKind& kind, const prior::NceOptions&) { return std::string(kind.name); };
  // Rows of `evaluate --all`: the files that there may be, and their titles.
  struct Samples {
    std::string_view file, title;
  };
  std::vector<Samples> samples = {};
  // What rows of this kind differ in, behind the title.
  std::string (*variant)(std::optional<std::int64_t> num_levels, const nlohmann::json& samples_fingerprint) =
      [](std::optional<std::int64_t>, const nlohmann::json&) { return std::string(); };

  bool depends_on(std::string_view key) const;
  bool is_default() const;
  std::string folder() const;         // of a run directory: prior, prior-joint, prior-nce
  std::string train_command() const;  // for messages
};

std::span<const PriorKind> prior_kinds();
const PriorKind* find_prior_kind(std::string_view name);  // or null
const PriorKind& prior_kind(std::string_view name);       // of an option's value, which is checked
const PriorKind& default_prior_kind();                    // the paper's own
void add_prior_kind(Options& options, std::string* name, const std::string& help);

}  // namespace hebm::cli
