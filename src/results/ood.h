// results/ood-NAME.json (docs/formats.md).
#pragma once
#include <array>
#include <string>
#include <vector>
#include "results/json.h"

namespace hebm::results {

inline constexpr const char* kOodFormat = "hebm-ood";

enum class OodScheme { kUnknown, kElbo, kInference, kDiffusion };
inline const std::array<std::string, 4>& names_of(OodScheme) {
  static const std::array<std::string, 4> kNames = {"", "elbo", "inference", "diffusion"};
  return kNames;
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
  const OodRow* find(OodScheme scheme, const Count& k) const;  // or null
  static void fields(auto& s, auto& visit) {
    visit("format", s.format, "version", s.version, "positive", s.positive, "score", s.score, "in", s.in, "out", s.out,
        "num_layers", s.num_layers, "T", s.num_levels, "step_variance", s.step_variance, "rows", s.rows, "seconds",
        s.seconds);
  }
};

std::string text_of(const Ood& result);

}  // namespace hebm::results
