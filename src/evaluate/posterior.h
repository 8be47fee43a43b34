// Decoded posterior draws of a data set's images and their features: what fd_posterior compares
// with (docs/method.md, "Scores"). Draws are encoded anew, so no latent cache is needed.
#pragma once
#include <cstdint>
#include <string>
#include "base/visits.h"
#include "evaluate/experiment.h"
#include "evaluate/features.h"

namespace hebm::evaluate {

// One draw of each of images start .. start + count - 1 of a split, which starts again beyond its
// end.
struct PosteriorDraws {
  data::Split split = data::Split::kTrain;
  std::int64_t start = 0, count = 0;
  std::int64_t chunk = 100;
  std::uint64_t seed = 0;
  std::uint32_t visit = visits::kScores;
};

// What n scored images are compared with: training images n .. 2n-1. The floor, of images 2n ..
// 3n-1, is what draws have by chance: all are other images where there are 3n of them, and other
// draws.
PosteriorDraws posterior_reference(std::int64_t n, std::int64_t chunk, std::uint64_t seed);
PosteriorDraws posterior_floor(std::int64_t n, std::int64_t chunk, std::uint64_t seed);

// u_0 and z of draws first .. first + size - 1 of these.
vae::Posterior draw(const ScoreInputs& in, const PosteriorDraws& draws, std::int64_t first, std::int64_t size);
// Decoded to the mean of p(x | z) at temperature 1. keep: the features themselves too. Collective.
FeatureRows posterior_features(
    const ScoreInputs& in, const PosteriorDraws& draws, bool keep, const std::string& what, const Crew& crew);

}  // namespace hebm::evaluate
