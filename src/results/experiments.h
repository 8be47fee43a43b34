// Results whose page of the report shows most of their fields: what `transition`, `labels`,
// `compose`, `ood` and `sweep collect` leave in results/ (docs/formats.md), and the tables they
// print. Numbers are means over the images unless said.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>
#include "base/choice.h"
#include "results/scores.h"

namespace hebm::results {

// transition-K.json
struct Saturation {
  double black = kUnknown, white = kUnknown;  // shares of an image's pixels
  static void fields(auto& s, auto& visit) { visit("black", s.black, "white", s.white); }
};
struct ChainState {
  Count k;
  double energy = kUnknown, displacement = kUnknown, fd_fmnist = kUnknown;
  Saturation saturated;
  double fd_posterior = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("k", s.k, "energy", s.energy, "displacement", s.displacement, "fd_fmnist", s.fd_fmnist);
    Saturation::fields(s.saturated, visit);
    visit.known("fd_posterior", s.fd_posterior);
  }
};
struct ChainLevel {
  Count t;
  double step_variance = kUnknown;  // s_t^2
  std::vector<ChainState> states;
  static void fields(auto& s, auto& visit) { visit("t", s.t, "step_variance", s.step_variance, "states", s.states); }
};
struct Transition {
  Count steps, num_images;
  Saturation training;             // of the training images
  std::vector<ChainLevel> levels;  // from t = T-1 to 0
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("steps", s.steps, "num_images", s.num_images, "training", s.training, "levels", s.levels, "features",
        s.features, "seconds", s.seconds);
  }
};

// labels-NAME.json
struct LayerAccuracy {
  Count layer;
  double accuracy = kUnknown;
  static void fields(auto& s, auto& visit) { visit("layer", s.layer, "accuracy", s.accuracy); }
};
struct LabelTest {  // p(y | u_0) on test images
  double accuracy = kUnknown, cross_entropy = kUnknown, reader_accuracy = kUnknown;
  std::vector<LayerAccuracy> by_layer;
  static void fields(auto& s, auto& visit) {
    visit("accuracy", s.accuracy, "cross_entropy", s.cross_entropy, "reader_accuracy", s.reader_accuracy, "by_layer",
        s.by_layer);
  }
};
struct LabelDrawn {  // images drawn for its categories
  double accuracy = kUnknown, own_accuracy = kUnknown, fd_fmnist = kUnknown, fd_fmnist_ratio = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("accuracy", s.accuracy, "own_accuracy", s.own_accuracy, "fd_fmnist", s.fd_fmnist, "fd_fmnist_ratio",
        s.fd_fmnist_ratio);
  }
};
struct LabelCategory {
  std::string category;
  double accuracy = kUnknown;
  std::vector<std::int64_t> read_as;  // images by what the reader sees
  double share_of_test_images = kUnknown, share_without_label = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("category", s.category, "accuracy", s.accuracy, "read_as", s.read_as, "share_of_test_images",
        s.share_of_test_images, "share_without_label", s.share_without_label);
  }
};
struct LabelHead {
  std::string name;
  std::vector<std::int64_t> layers;
  LabelTest test;
  LabelDrawn drawn;
  double imbalance_without_label = kUnknown;
  std::vector<LabelCategory> by_category;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "layers", s.layers, "test", s.test, "drawn", s.drawn, "imbalance_without_label",
        s.imbalance_without_label, "by_category", s.by_category);
  }
};
struct Labels {
  std::string name;
  Count num_test, num_samples, candidates, steps, num_layers;
  double guidance = kUnknown, fd_fmnist_without_label = kUnknown;
  std::vector<LabelHead> heads;
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "num_test", s.num_test, "num_samples", s.num_samples, "guidance", s.guidance, "candidates",
        s.candidates, "steps", s.steps, "num_layers", s.num_layers, "heads", s.heads, "fd_fmnist_without_label",
        s.fd_fmnist_without_label, "features", s.features, "seconds", s.seconds);
  }
};

// compose-NAME.json
struct ComposeAsked {
  std::string name;
  std::vector<std::int64_t> layers;
  std::string category;  // "": all in turn
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "layers", s.layers);
    visit.known("category", s.category);
  }
};
struct ComposeLabel {
  std::string name;
  Count asked_in_step;
  double accuracy = kUnknown;
  double kept = kUnknown, unchanged = kUnknown;  // from its own step on
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "asked_in_step", s.asked_in_step, "accuracy", s.accuracy);
    visit.known("kept", s.kept, "unchanged", s.unchanged);
  }
};
struct ComposeStep {
  Count step;
  std::vector<ComposeAsked> asked;
  std::vector<std::int64_t> held_layers;
  std::vector<ComposeLabel> labels;
  double fd_fmnist = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("step", s.step, "asked", s.asked, "held_layers", s.held_layers, "labels", s.labels, "fd_fmnist", s.fd_fmnist);
  }
};
struct Compose {
  std::string name;
  Count num_samples, candidates, steps_at_zero;
  double guidance = kUnknown;
  std::vector<ComposeStep> steps;
  std::vector<std::map<std::string, std::string>> grid;  // label -> category, of each row of the picture
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "num_samples", s.num_samples, "guidance", s.guidance, "candidates", s.candidates,
        "steps_at_zero", s.steps_at_zero, "steps", s.steps, "grid", s.grid, "features", s.features, "seconds",
        s.seconds);
  }
};

// ood-NAME.json
inline constexpr const char* kOodFormat = "hebm-ood";

enum class OodScheme { kUnknown, kElbo, kInference, kDiffusion };
constexpr std::array<Choice<OodScheme>, 3> choices_of(OodScheme) {
  return {{{"elbo", OodScheme::kElbo}, {"inference", OodScheme::kInference}, {"diffusion", OodScheme::kDiffusion}}};
}
struct OodSetInfo {
  std::string name, source, images_hash;
  Count num_images;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "source", s.source, "images_hash", s.images_hash, "num_images", s.num_images);
  }
};
// Counts of both sets in equal bins from low to high; outside: of images beyond.
struct PairedHistogram {
  double low = kUnknown, high = kUnknown;
  std::vector<std::int64_t> in, out;
  std::int64_t outside_in = 0, outside_out = 0;
  static void fields(auto& s, auto& visit) {
    visit("low", s.low, "high", s.high, "in", s.in, "out", s.out, "outside_in", s.outside_in, "outside_out",
        s.outside_out);
  }
};
struct OodRow {
  OodScheme scheme = OodScheme::kUnknown;
  Count k;  // not of the ELBO
  double auroc = kUnknown, auroc_low = kUnknown, auroc_high = kUnknown, aupr = kUnknown, fpr95 = kUnknown;
  double mean_in = kUnknown, mean_out = kUnknown;
  PairedHistogram histogram;
  static void fields(auto& s, auto& visit) {
    visit("scheme", s.scheme);
    visit.known("k", s.k);
    visit("auroc", s.auroc, "auroc_low", s.auroc_low, "auroc_high", s.auroc_high, "aupr", s.aupr, "fpr95", s.fpr95,
        "mean_in", s.mean_in, "mean_out", s.mean_out, "histogram", s.histogram);
  }
};
struct Ood {
  std::string format;  // kOodFormat
  Count version;
  std::string positive;  // "out": a higher score speaks for this set
  std::string score;     // what it is, in words
  OodSetInfo in, out;
  Count num_layers, num_levels;
  double step_variance = kUnknown;  // s_0^2
  std::vector<OodRow> rows;
  double seconds = kUnknown;
  OodRow find(OodScheme scheme, const Count& k) const;  // all unknown where there is none
  static void fields(auto& s, auto& visit) {
    visit("format", s.format, "version", s.version, "positive", s.positive, "score", s.score, "in", s.in, "out", s.out,
        "num_layers", s.num_layers, "T", s.num_levels, "step_variance", s.step_variance, "rows", s.rows, "seconds",
        s.seconds);
  }
};

// sweep.json of `sweep collect`: what the report draws.

// Over seeds; count 0: the rest is unknown.
struct Spread {
  double mean = kUnknown, low = kUnknown, high = kUnknown;
  std::int64_t count = 0;
  static void fields(auto& s, auto& visit) { visit("mean", s.mean, "low", s.low, "high", s.high, "count", s.count); }
};

// "12.34 (12.01 - 12.80)"; without a range where there is one value. text: a number's.
template <class Text> std::string spread_text(const Spread& s, const Text& text) {
  const std::string mean = text(s.mean);
  return s.count < 2 ? mean : mean + " (" + text(s.low) + " - " + text(s.high) + ")";
}

// Of a member's own prior, in its summary.json.
struct MemberScores {
  Scores scores;
  double gap_closed = kUnknown, num_images = kUnknown, sampling_s = kUnknown;
  Count training_gradients, sampling_gradients;  // Model of summary.h
  static void fields(auto& s, auto& visit) {
    for (std::size_t i = 0; i < kScores.size(); ++i) visit(std::string(kScores[i].key), s.scores[i].value);
    visit("gap_closed", s.gap_closed, "num_images", s.num_images, "sampling_s", s.sampling_s);
    visit.known("training_gradients", s.training_gradients, "sampling_gradients", s.sampling_gradients);
  }
};

struct SweepMember {
  std::string member, state;
  std::map<std::string, std::string> options;  // "prior.T" -> "3"
  MemberScores scores;
  static void fields(auto& s, auto& visit) {
    visit("member", s.member, "state", s.state);
    visit.options(s.options);
    MemberScores::fields(s.scores, visit);
  }
};

// Members that differ only in seeds; without options, what stands beside all of them (the Gaussian
// prior, say).
struct SweepSetting {
  std::string name;  // "T = 3, K = 50"
  Count members;
  std::map<std::string, std::string> options;
  Spread fd_fmnist, sampling_s, gap_closed, fd_posterior;
  Count training_gradients, sampling_gradients;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "members", s.members);
    visit.options(s.options);
    visit("fd_fmnist", s.fd_fmnist, "sampling_s", s.sampling_s, "gap_closed", s.gap_closed, "fd_posterior",
        s.fd_posterior);
    visit.known("training_gradients", s.training_gradients, "sampling_gradients", s.sampling_gradients);
  }
};

// Over one option, the others fixed; low and high of fd_fmnist.
struct SweepLine {
  std::string name;
  std::vector<double> x, fd_fmnist, low, high, sampling_s, fd_posterior;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "x", s.x, "fd_fmnist", s.fd_fmnist, "low", s.low, "high", s.high, "sampling_s", s.sampling_s,
        "fd_posterior", s.fd_posterior);
  }
};
struct SweepPlot {
  std::string option;
  std::vector<SweepLine> lines;
  static void fields(auto& s, auto& visit) { visit("option", s.option, "lines", s.lines); }
};

struct Sweep {
  std::vector<SweepMember> members;
  std::vector<SweepSetting> settings;
  std::vector<SweepPlot> plots;
  static void fields(auto& s, auto& visit) { visit("members", s.members, "settings", s.settings, "plots", s.plots); }
};

std::string text_of(const Transition& result);
std::string text_of(const Labels& result);
std::string text_of(const Compose& result);
std::string text_of(const Ood& result);

}  // namespace hebm::results
