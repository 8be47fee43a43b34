// What each latent layer of a backbone carries, without any trained prior: KL, a probe for the
// labels, the exchange of layers between images, layers drawn anew; and how good reconstructions
// are beside images of the Gaussian prior.
#pragma once
#include <cstdint>
#include "evaluate/experiment.h"
#include "results/hierarchy.h"

namespace hebm::evaluate {

struct HierarchyOptions {
  std::int64_t num_images = 5000, probe_images = 10000, chunk = 100;
  std::int64_t seed = 2;  // of posterior and prior draws, of the pairs and the probe
  void describe(Options& options);
};

// Error(kUsage) where the data set has fewer test or training images. Collective; the result is
// rank 0's, the same for any number of ranks.
results::Hierarchy hierarchy(const HierarchyOptions& options, const ScoreInputs& inputs, const comm::Crew& crew);

}  // namespace hebm::evaluate
