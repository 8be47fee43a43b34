#include "cli/prior_kind.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "storage/lenient_json.h"
#include "storage/run_files.h"

namespace hebm::cli {
namespace {

using Json = nlohmann::json;
using prior::EnergyPrior, vae::Backbone;

std::unique_ptr<train::Objective> by_chains(
    const train::PriorTrainOptions& options, const train::PriorInputs& in, const train::TrainingRun& run) {
  return std::make_unique<train::DiffusionObjective>(options, in, run);
}

// What a prior without levels does not depend on.
constexpr std::string_view kOfLevels[] = {"prior.T", "prior.alpha_cum", "langevin.step_rule", "langevin.step",
    "langevin.eta", "langevin.by_level", "langevin.start", "train.chain", "train.reverse_from"};

}  // namespace

std::string chains_cost(const EnergyPrior& prior, const DrawSettings& s) {
  return fmt::format(", {} levels of {} Langevin steps", prior.num_levels(), s.langevin.steps);
}

void chain_fingerprint(Json& out, const DrawSettings& s) {
  out["langevin.steps"] = s.langevin.steps;
  out["langevin.integrator"] = name_of(s.langevin.integrator);
  out["langevin.noise"] = s.langevin.noise;
  out["compute.chain_precision"] = name_of(s.langevin.precision);
}

void marginal_fingerprint(Json& out, const DrawSettings& s) {
  chain_fingerprint(out, s);
  out["langevin.eta_marginal"] = s.langevin.eta_marginal;
}

// The VAE's own prior.
template <> PriorKind make_kind<"gaussian">() {
  return {.name = results::kGaussian,
      .about = "the Gaussian prior is the VAE's own",
      .draw = [](const EnergyPrior*, const Backbone& vae, const DrawSettings&) -> sample::DrawLatents {
        return [&](const prior::ChainIds& ids) { return prior::prior_noise(ids, vae.dim(), vae.params().device()); };
      }};
}

// Eq. 9.
template <> PriorKind make_kind<"diffusion">() {
  return {.name = storage::run_files::kOwnPrior,
      .about = "Eq. 9",
      .without = {"langevin.eta_marginal"},
      .has_levels = true,
      .objective = by_chains,
      .draw = chain_draws<>,
      .draw_cost = chains_cost,
      .draw_fingerprint =
          [](Json& out, const DrawSettings& s) {
            chain_fingerprint(out, s);
            out["langevin.step_rule"] = name_of(s.langevin.step_rule);
            out["langevin.step"] = s.langevin.step;
            out["langevin.eta"] = s.langevin.eta;
            out["langevin.by_level"] = s.langevin.by_level;
            out["langevin.start"] = name_of(s.langevin.start);
          },
      .samples = {{storage::run_files::kOwnPrior, "Ours"}},
      .variant = [](std::optional<std::int64_t> num_levels,
                     const Json&) { return num_levels ? fmt::format(", T = {}", *num_levels) : ""; }};
}

// The marginal EBM of Eq. 4 and 8.
template <> PriorKind make_kind<"joint">() {
  return {.name = "joint",
      .about = "marginal EBM of Eq. 4 and 8, whose step is langevin.eta_marginal",
      .part = "Joint EBM prior",
      .objective = by_chains,
      .draw = chain_draws<>,
      .draw_cost = chains_cost,
      .draw_fingerprint = marginal_fingerprint,
      .samples = {{"joint", "Joint EBM"}},
      .variant = [](std::optional<std::int64_t>, const Json& samples) -> std::string {
        const double step = storage::number_in(samples, "langevin.eta_marginal");
        return std::isfinite(step) ? fmt::format(", s^2 = {}", step) : "";
      }};
}

bool PriorKind::depends_on(std::string_view key) const {
  if (!has_levels && std::find(std::begin(kOfLevels), std::end(kOfLevels), key) != std::end(kOfLevels)) return false;
  for (const PriorKind& other : prior_kinds()) {
    if (other.name != name && !other.section.empty() && key.starts_with(other.section)) return false;
  }
  return std::none_of(without.begin(), without.end(),
      [&](std::string_view w) { return w.ends_with('.') ? key.starts_with(w) : key == w; });
}

bool PriorKind::is_default() const { return name == storage::run_files::kOwnPrior; }

std::string PriorKind::folder() const { return storage::run_files::prior_folder(name); }

std::string PriorKind::train_command() const {
  return is_default() ? "hebm_dist train" : fmt::format("hebm_dist train --prior.kind {}", name);
}

std::span<const PriorKind> prior_kinds() {
  static const std::vector<PriorKind> rows = {
      make_kind<"gaussian">(),
      make_kind<"diffusion">(),
      make_kind<"joint">(),
      make_kind<"nce">(),
  };
  return rows;
}

const PriorKind* find_prior_kind(std::string_view name) {
  const auto found = std::ranges::find(prior_kinds(), name, &PriorKind::name);
  return found == prior_kinds().end() ? nullptr : &*found;
}

const PriorKind& prior_kind(std::string_view name) { return *find_prior_kind(name); }

const PriorKind& default_prior_kind() { return prior_kind(storage::run_files::kOwnPrior); }

void add_prior_kind(Options& o, std::string* name, const std::string& help) {
  std::vector<std::string> names;
  for (const PriorKind& row : prior_kinds()) names.emplace_back(row.name);
  o.add_choice("prior.kind", name, std::move(names), help, Show::kCommon);
}

}  // namespace hebm::cli
