// What the scores of a run tell about its chains (docs/method.md, "Scores"), one sentence each.
#pragma once
#include <string>
#include <vector>
#include "results/summary.h"

namespace hebm::results {

// More of the way from posterior draws to the Gaussian prior than this is not chance.
inline constexpr double kLeft = 0.05;

// Rows of fewer images than this times the classifier's features are few.
inline constexpr std::int64_t kImagesPerFeature = 10;

// Few images; samples that are nearer to the training images than the reconstructions and have left
// the posterior; more Langevin steps than in training; images that are not the decoder's mean.
std::vector<std::string> warnings(const Summary& summary);
// The first two, of every prior; and a prior that two rows draw from, where the longer chains come
// nearer to the training images and go away from the posterior.
std::vector<std::string> warnings(const Priors& priors);

}  // namespace hebm::results
