// The registry of visits: no two of its streams are one.
#include "base/visits.h"
#include <gtest/gtest.h>
#include <set>

namespace hebm::visits {
namespace {

TEST(Visits, OfImagesOutsideTrainingAreApart) {
  constexpr std::uint32_t kMostDraws = 4096;  // cache.draws
  static_assert(kCache + kMostDraws <= kScores && kScores < kOod);
  static_assert(kOod + 1 < kLabelTest && kLabelTest < kHierarchy && kHierarchy < kMeasure);
  static_assert(kFeatureNet != kProbe && kProbe < kEnergyNets);
}

TEST(Visits, OfCandidatesAreApartFromOneAnotherAndFromOtherChains) {
  std::set<std::uint32_t> seen;
  std::size_t count = 0;
  for (const std::uint32_t visit : {0u, 1u, 2u, kMaxCandidateVisit - 1}) {
    for (const std::int64_t m : {0, 1, 15, static_cast<int>(kMaxCandidates) - 1}) {
      seen.insert(of_candidate(visit, m));
      EXPECT_GE(of_candidate(visit, m), kMaxCandidates) << "above the visits that have candidates";
      ++count;
    }
  }
  EXPECT_EQ(seen.size(), count);
  EXPECT_LT(*seen.rbegin(), kMeasure);
}

TEST(Visits, OfProposalsAreApart) {
  std::set<std::uint32_t> seen;
  for (const std::uint32_t visit : {0u, 1u, 7u}) {
    for (std::int64_t m = 0; m < 100; ++m) seen.insert(of_proposal(visit, m, 100));
  }
  EXPECT_EQ(seen.size(), 300u);
}

TEST(Visits, DrawZeroIsTheSamples) {
  EXPECT_EQ(of_draw(0), 0u);
  EXPECT_EQ(of_draw(3), 3u);
}

}  // namespace
}  // namespace hebm::visits
