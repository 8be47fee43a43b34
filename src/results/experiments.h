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
    visit("free", s.free);
    visit("name", s.name);
    visit("feature_distance", s.feature_distance);
    visit("class_changed", s.class_changed);
  }
};
struct Vary {
  Count num_samples, variations, num_layers;
  std::vector<VarySet> sets;
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("num_samples", s.num_samples);
    visit("variations", s.variations);
    visit("num_layers", s.num_layers);
    visit("sets", s.sets);
    visit("features", s.features);
    visit("seconds", s.seconds);
  }
};

// transition-K.json
struct Saturation {
  double black = kUnknown, white = kUnknown;  // shares of an image's pixels
  static void fields(auto& s, auto& visit) {
    visit("black", s.black);
    visit("white", s.white);
  }
};
struct ChainState {
  Count k;
  double energy = kUnknown, displacement = kUnknown, fd_fmnist = kUnknown;
  Saturation saturated;
  static void fields(auto& s, auto& visit) {
    visit("k", s.k);
    visit("energy", s.energy);
    visit("displacement", s.displacement);
    visit("fd_fmnist", s.fd_fmnist);
    Saturation::fields(s.saturated, visit);
  }
};
struct ChainLevel {
  Count t;
  double step_variance = kUnknown;  // s_t^2
  std::vector<ChainState> states;
  static void fields(auto& s, auto& visit) {
    visit("t", s.t);
    visit("step_variance", s.step_variance);
    visit("states", s.states);
  }
};
struct Transition {
  Count steps, num_images;
  Saturation training;             // of the training images
  std::vector<ChainLevel> levels;  // from t = T-1 to 0
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("steps", s.steps);
    visit("num_images", s.num_images);
    visit("training", s.training);
    visit("levels", s.levels);
    visit("features", s.features);
    visit("seconds", s.seconds);
  }
};

// labels-NAME.json
struct LayerAccuracy {
  Count layer;
  double accuracy = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("layer", s.layer);
    visit("accuracy", s.accuracy);
  }
};
struct LabelTest {  // p(y | u_0) on test images
  double accuracy = kUnknown, cross_entropy = kUnknown, reader_accuracy = kUnknown;
  std::vector<LayerAccuracy> by_layer;
  static void fields(auto& s, auto& visit) {
    visit("accuracy", s.accuracy);
    visit("cross_entropy", s.cross_entropy);
    visit("reader_accuracy", s.reader_accuracy);
    visit("by_layer", s.by_layer);
  }
};
struct LabelDrawn {  // images drawn for its categories
  double accuracy = kUnknown, own_accuracy = kUnknown, fd_fmnist = kUnknown, fd_fmnist_ratio = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("accuracy", s.accuracy);
    visit("own_accuracy", s.own_accuracy);
    visit("fd_fmnist", s.fd_fmnist);
    visit("fd_fmnist_ratio", s.fd_fmnist_ratio);
  }
};
struct LabelCategory {
  std::string category;
  double accuracy = kUnknown;
  std::vector<std::int64_t> read_as;  // images by what the reader sees
  double share_of_test_images = kUnknown, share_without_label = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("category", s.category);
    visit("accuracy", s.accuracy);
    visit("read_as", s.read_as);
    visit("share_of_test_images", s.share_of_test_images);
    visit("share_without_label", s.share_without_label);
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
    visit("name", s.name);
    visit("layers", s.layers);
    visit("test", s.test);
    visit("drawn", s.drawn);
    visit("imbalance_without_label", s.imbalance_without_label);
    visit("by_category", s.by_category);
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
    visit("name", s.name);
    visit("num_test", s.num_test);
    visit("num_samples", s.num_samples);
    visit("guidance", s.guidance);
    visit("candidates", s.candidates);
    visit("steps", s.steps);
    visit("num_layers", s.num_layers);
    visit("heads", s.heads);
    visit("fd_fmnist_without_label", s.fd_fmnist_without_label);
    visit("features", s.features);
    visit("seconds", s.seconds);
  }
};

// compose-NAME.json
struct ComposeAsked {
  std::string name;
  std::vector<std::int64_t> layers;
  std::string category;  // "": all in turn
  static void fields(auto& s, auto& visit) {
    visit("name", s.name);
    visit("layers", s.layers);
    visit("category", s.category, kIfKnown);
  }
};
struct ComposeLabel {
  std::string name;
  Count asked_in_step;
  double accuracy = kUnknown;
  double kept = kUnknown, unchanged = kUnknown;  // from its own step on
  static void fields(auto& s, auto& visit) {
    visit("name", s.name);
    visit("asked_in_step", s.asked_in_step);
    visit("accuracy", s.accuracy);
    visit("kept", s.kept, kIfKnown);
    visit("unchanged", s.unchanged, kIfKnown);
  }
};
struct ComposeStep {
  Count step;
  std::vector<ComposeAsked> asked;
  std::vector<std::int64_t> held_layers;
  std::vector<ComposeLabel> labels;
  double fd_fmnist = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("step", s.step);
    visit("asked", s.asked);
    visit("held_layers", s.held_layers);
    visit("labels", s.labels);
    visit("fd_fmnist", s.fd_fmnist);
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
    visit("name", s.name);
    visit("num_samples", s.num_samples);
    visit("guidance", s.guidance);
    visit("candidates", s.candidates);
    visit("steps_at_zero", s.steps_at_zero);
    visit("steps", s.steps);
    visit("grid", s.grid);
    visit("features", s.features);
    visit("seconds", s.seconds);
  }
};

std::string text_of(const Vary& result);
std::string text_of(const Transition& result);
std::string text_of(const Labels& result);
std::string text_of(const Compose& result);

}  // namespace hebm::results
