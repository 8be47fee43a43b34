// The scores of a set of images, each a row of one table: `evaluate` measures them
// (evaluate/measure.h has a function for every row), and every file, table and page shows them from
// it.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include "results/json.h"
#include "storage/run_files.h"

namespace hebm::results {

enum class Better { kLower, kHigher };

// What images are compared with: the training images, which the backbone keeps at a distance, or
// decoded posterior draws of training images, which a prior can reach (docs/method.md, "Scores").
enum class Against { kData, kPosterior };

struct ScoreInfo {
  std::string_view key;    // in files
  std::string_view title;  // in tables
  std::string_view unit;
  const char* format;  // of fmt, in tables
  Better better;
  bool has_error;  // its standard error is kept too, as KEY_error
  Against against = Against::kData;
  // In a table that has both kinds: "KID (posterior)".
  std::string full_title() const {
    return std::string(title) + (against == Against::kPosterior && title != key ? " (posterior)" : "");
  }
};

inline constexpr std::array kScores = {
    ScoreInfo{"fd_fmnist", "fd_fmnist", "", "{:.2f}", Better::kLower, false},
    ScoreInfo{"kid", "KID", "", "{:.4g}", Better::kLower, true},
    ScoreInfo{"precision", "precision", "", "{:.3f}", Better::kHigher, false},
    ScoreInfo{"recall", "recall", "", "{:.3f}", Better::kHigher, false},
    ScoreInfo{"fd_posterior", "fd_posterior", "", "{:.2f}", Better::kLower, false, Against::kPosterior},
    ScoreInfo{"kid_posterior", "KID", "", "{:.4g}", Better::kLower, true, Against::kPosterior},
    ScoreInfo{"precision_posterior", "precision", "", "{:.3f}", Better::kHigher, false, Against::kPosterior},
    ScoreInfo{"recall_posterior", "recall", "", "{:.3f}", Better::kHigher, false, Against::kPosterior},
};

// The place of a score in the table. Does not compile for a key that is not there.
consteval std::size_t score(std::string_view key) {
  std::size_t i = 0;
  while (kScores.at(i).key != key) ++i;
  return i;
}

// "fd_fmnist,kid,...": a result that was made with other scores is made again.
inline std::string score_keys() {
  std::string out;
  for (const ScoreInfo& info : kScores) out += (out.empty() ? "" : ",") + std::string(info.key);
  return out;
}

// Numbers of the classifier of the scores, whose covariance the distances compare.
inline constexpr std::int64_t kNumFeatures = 128;

struct Score {
  double value = kUnknown, error = kUnknown;
};

// Of one set of images, in the table's order.
struct Scores : std::array<Score, kScores.size()> {
  double fd() const { return (*this)[score("fd_fmnist")].value; }
  double fd_posterior() const { return (*this)[score("fd_posterior")].value; }
  static void fields(auto& s, auto& visit) {
    for (std::size_t i = 0; i < kScores.size(); ++i) {
      const std::string key(kScores[i].key);
      visit.known(key, s[i].value);
      if (kScores[i].has_error) visit.known(key + "_error", s[i].error);
    }
  }
};

// What is scored of every run, by the names that files and rows of these have: the priors beside
// which its own stands (kPosterior: decoded posterior draws of training images), and its own.
inline constexpr const char *kGaussian = "gaussian", *kReconstruction = "reconstruction", *kPosterior = "posterior",
                            *kOwn = storage::run_files::kOwnPrior;

// "Of Gaussian", from fd_posterior: 0 for posterior draws (their distance to other ones is the
// floor), 1 for the Gaussian prior. The gap closed is 1 - this. Unknown where one of them is, or
// where the Gaussian prior is within twice the floor: then there is no gap to close.
inline double of_gaussian(double fd_posterior, double floor, double gaussian) {
  return gaussian > 2 * floor ? (fd_posterior - floor) / (gaussian - floor) : kUnknown;
}

// The classifier whose features are compared.
struct Classifier {
  double accuracy = kUnknown;
  std::string hash;
  static void fields(auto& s, auto& visit) { visit("accuracy", s.accuracy, "hash", s.hash); }
};

}  // namespace hebm::results
