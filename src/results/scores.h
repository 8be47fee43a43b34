// The scores of a set of images, each a row of one table: `evaluate` measures them
// (evaluate/measure.h has a function for every row), and every file, table and page shows them from
// it.
#pragma once
#include <array>
#include <string_view>
#include "results/json.h"
#include "storage/run_files.h"

namespace hebm::results {

enum class Better { kLower, kHigher };

struct ScoreInfo {
  std::string_view key;    // in files
  std::string_view title;  // in tables
  std::string_view unit;
  const char* format;  // of fmt, in tables
  Better better;
  bool has_error;  // its standard error is kept too, as KEY_error
};

inline constexpr std::array kScores = {
    ScoreInfo{"fd_fmnist", "fd_fmnist", "", "{:.2f}", Better::kLower, false},
    ScoreInfo{"kid", "KID", "", "{:.4g}", Better::kLower, true},
    ScoreInfo{"precision", "precision", "", "{:.3f}", Better::kHigher, false},
    ScoreInfo{"recall", "recall", "", "{:.3f}", Better::kHigher, false},
};

// The place of a score in the table. Does not compile for a key that is not there.
consteval std::size_t score(std::string_view key) {
  std::size_t i = 0;
  while (kScores.at(i).key != key) ++i;
  return i;
}

struct Score {
  double value = kUnknown, error = kUnknown;
};

// Of one set of images, in the table's order.
struct Scores : std::array<Score, kScores.size()> {
  double fd() const { return (*this)[score("fd_fmnist")].value; }
  static void fields(auto& s, auto& visit) {
    for (std::size_t i = 0; i < kScores.size(); ++i) {
      const std::string key(kScores[i].key);
      visit.known(key, s[i].value);
      if (kScores[i].has_error) visit.known(key + "_error", s[i].error);
    }
  }
};

// What is scored of every run, by the names that files and rows of these have: the priors beside
// which its own stands, and its own.
inline constexpr const char *kGaussian = "gaussian", *kReconstruction = "reconstruction",
                            *kOwn = storage::run_files::kOwnPrior;

// The classifier whose features are compared.
struct Classifier {
  double accuracy = kUnknown;
  std::string hash;
  static void fields(auto& s, auto& visit) { visit("accuracy", s.accuracy, "hash", s.hash); }
};

}  // namespace hebm::results
