// Results of the experiments on a trained prior: what `vary`, `transition`, `labels`, `compose` and
// `ood` leave in results/ (docs/formats.md), and the tables they print. Numbers are means over the
// images unless said.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>
#include "results/scores.h"

namespace hebm::results {

// vary.json, vary-LAYERS.json
struct VarySet {
  std::vector<std::int64_t> free;  // layers drawn anew, 0: the top one
  std::string name;                // "0-2"
  double feature_distance = kUnknown, class_changed = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("free", s.free, "name", s.name, "feature_distance", s.feature_distance, "class_changed", s.class_changed);
  }
};
struct Vary {
  Count num_samples, variations, num_layers;
  std::vector<VarySet> sets;
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("num_samples", s.num_samples, "variations", s.variations, "num_layers", s.num_layers, "sets", s.sets,
        "features", s.features, "seconds", s.seconds);
  }
};

// transition-K.json
struct Saturation {
  double black = kUnknown, white = kUnknown;  // shares of an image's pixels
  static void fields(auto& s, auto& visit) { visit("black", s.black, "white", s.white); }
};
struct ChainState {
  Count k;
  double energy = kUnknown, displacement = kUnknown, fd_fmnist = kUnknown;
  Saturation saturated;
  static void fields(auto& s, auto& visit) {
    visit("k", s.k, "energy", s.energy, "displacement", s.displacement, "fd_fmnist", s.fd_fmnist);
    Saturation::fields(s.saturated, visit);
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

std::string text_of(const Vary& result);
std::string text_of(const Transition& result);
std::string text_of(const Labels& result);
std::string text_of(const Compose& result);

}  // namespace hebm::results
