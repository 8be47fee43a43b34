// results/sweep.json of `sweep collect` (docs/formats.md): what the report draws.
#pragma once
#include <map>
#include <string>
#include <vector>
#include "results/scores.h"

namespace hebm::results {

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

// Of `ours`, in a member's summary.json.
struct MemberScores {
  Scores scores;
  double gap_closed = kUnknown, num_images = kUnknown, sampling_s = kUnknown;
  static void fields(auto& s, auto& visit) {
    for (std::size_t i = 0; i < kScores.size(); ++i) visit(std::string(kScores[i].key), s.scores[i].value);
    visit("gap_closed", s.gap_closed, "num_images", s.num_images, "sampling_s", s.sampling_s);
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

// Members that differ only in seeds.
struct SweepSetting {
  std::string name;  // "T = 3, K = 50"
  Count members;
  std::map<std::string, std::string> options;
  Spread fd_fmnist, sampling_s, gap_closed;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "members", s.members);
    visit.options(s.options);
    visit("fd_fmnist", s.fd_fmnist, "sampling_s", s.sampling_s, "gap_closed", s.gap_closed);
  }
};

// Over one option, the others fixed; low and high of fd_fmnist.
struct SweepLine {
  std::string name;
  std::vector<double> x, fd_fmnist, low, high, sampling_s;
  static void fields(auto& s, auto& visit) {
    visit("name", s.name, "x", s.x, "fd_fmnist", s.fd_fmnist, "low", s.low, "high", s.high, "sampling_s", s.sampling_s);
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

}  // namespace hebm::results
