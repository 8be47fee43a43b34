// results/summary.json of `evaluate` and results/priors.json of `evaluate --all` (docs/formats.md).
#pragma once
#include <array>
#include <string>
#include <vector>
#include "results/scores.h"
#include "results/table.h"

namespace hebm::results {

struct ScoredSet {
  std::string key;  // its field in summary.json
  Scores scores;
  Count num_images;
  double seconds = kUnknown;      // of making the images
  double of_gaussian = kUnknown;  // scores.h
  std::string name{};             // of a prior that is not the method's: "Joint EBM"
  std::string title() const;      // "Ours (diffusion EBM)"

  static constexpr std::array kFirst = {kGaussian, kReconstruction, kPosterior, kOwn};
  static bool accepts(const nlohmann::json& json);  // any object with an fd_fmnist
  static void fields(auto& s, auto& visit) {
    Scores::fields(s.scores, visit);
    visit.known("num_images", s.num_images, "seconds", s.seconds, "of_gaussian", s.of_gaussian, "name", s.name);
  }
};

// What was scored.
struct Model {
  std::string backbone;
  Count layers, latents;
  Count levels, langevin_steps;                      // unknown without a prior; K of the samples where there are some
  Count training_steps;                              // K of the prior's training
  std::string kind{};                                // prior.kind; "": the method's
  Count training_gradients{}, sampling_gradients{};  // of all nets at one image; of one sample
  static void fields(auto& s, auto& visit) {
    visit("backbone", s.backbone, "layers", s.layers, "latents", s.latents, "levels", s.levels, "langevin_steps",
        s.langevin_steps);
    visit.known("training_steps", s.training_steps, "kind", s.kind, "training_gradients", s.training_gradients,
        "sampling_gradients", s.sampling_gradients);
  }
};

// fd_fmnist and fd_posterior of true noisy latents u_t: decoded, and with the reverse chain from
// them.
struct LevelScore {
  Count t, num_images;
  double decode_true = kUnknown, from_true = kUnknown;  // from_true: not of t = 0
  double decode_true_posterior = kUnknown, from_true_posterior = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("t", s.t, "num_images", s.num_images, "decode_true", s.decode_true);
    visit.known("from_true", s.from_true, "decode_true_posterior", s.decode_true_posterior, "from_true_posterior",
        s.from_true_posterior);
  }
};

struct TemperatureScores {
  double temperature = kUnknown;
  Count num_images;
  ScoredSet gaussian, own;
  static void fields(auto& s, auto& visit) {
    visit("temperature", s.temperature, "num_images", s.num_images, kGaussian, s.gaussian, kOwn, s.own);
  }
};

struct Summary {
  std::vector<ScoredSet> sets;   // ScoredSet::kFirst, then sanity_test_vs_train and a foreign file's others
  double gap_closed = kUnknown;  // of a file from before fd_posterior: another one, of fd_fmnist
  Model model;
  Classifier features;
  Count reference_images;
  nlohmann::json samples;  // what the scored samples were drawn with
  std::vector<LevelScore> by_level;
  std::vector<TemperatureScores> by_temperature;
  std::vector<std::string> warnings{};  // results/warnings.h, when it was made

  const ScoredSet* find(std::string_view key) const;  // or null
  const ScoredSet* own() const;                       // of model.kind, or null
  double fd(std::string_view key) const;              // NaN where there is none
  double fd_posterior(std::string_view key) const;
  double of_gaussian(const Scores& scores) const;
  double gap() const;                                             // 1 - of_gaussian of its own prior
  std::vector<const ScoredSet*> compared(Against against) const;  // rows of that table
  static void fields(auto& s, auto& visit) {
    visit.members(s.sets);
    visit.known("gap_closed", s.gap_closed);
    visit("model", s.model, "features", s.features, "reference_images", s.reference_images);
    visit.known(
        "samples", s.samples, "by_level", s.by_level, "by_temperature", s.by_temperature, "warnings", s.warnings);
  }
};

// What a row of priors.json is of. Counts of what there is, each maybe unknown: T of a kind that
// has levels, gradients of what is drawn.
struct PriorAbout {
  std::string kind, run;
  std::optional<Count> num_levels, training_gradients, sampling_gradients, sampling_evaluations;
  nlohmann::json samples;  // what the images were drawn with
  std::string images_hash;
  static void fields(auto& s, auto& visit) {
    visit("kind", s.kind);
    visit.known("run", s.run);
    visit.where_any("T", s.num_levels, "training_gradients", s.training_gradients, "sampling_gradients",
        s.sampling_gradients, "sampling_evaluations", s.sampling_evaluations);
    visit.known("samples", s.samples);
    if (s.samples.is_object()) visit("images_hash", s.images_hash);
  }
};

struct PriorRow {
  std::string name;  // "Joint EBM, s^2 = 0.02"
  PriorAbout about;
  Scores scores;
  Count num_images;
  double seconds_per_1000 = kUnknown;  // images
  static void fields(auto& s, auto& visit) {
    visit("name", s.name);
    PriorAbout::fields(s.about, visit);
    Scores::fields(s.scores, visit);
    visit("num_images", s.num_images, "seconds_per_1000", s.seconds_per_1000);
  }
};

struct Priors {
  std::vector<PriorRow> rows;
  Classifier features;
  Count reference_images;
  std::vector<std::string> warnings{};     // as a summary's
  double fd(std::string_view kind) const;  // of the first row of that kind; NaN where there is none
  double fd_posterior(std::string_view kind) const;
  double of_gaussian(const Scores& scores) const;
  std::vector<const PriorRow*> compared(Against against) const;  // rows of that table
  static void fields(auto& s, auto& visit) {
    visit("rows", s.rows, "features", s.features, "reference_images", s.reference_images);
    visit.known("warnings", s.warnings);
  }
};

// A table for each side of the comparison, its columns with the scores' keys: the data's has the
// ratio of fd_fmnist to the Gaussian prior's, the posterior's "of Gaussian" (scores.h). Columns
// without a value are left out of the summary's.
Table summary_table(const Summary& summary, Against against);
Table priors_table(const Priors& priors, Against against);
const char* caption(Against against);
inline constexpr const char* kNoPosterior =
    "fd_posterior: -. The file is from before it was measured; run `hebm_dist evaluate` again.";
// "no scores yet" where there are none; with the warnings (results/warnings.h).
std::string text_of(const Summary& summary);
std::string text_of(const Priors& priors);

}  // namespace hebm::results
