// Out-of-distribution detection on two data sets (Sec. 5.2, Fig. 3): scores of test images of both,
// and how well each score tells them apart. Images are shared by fixed chunks over ranks, so the
// result does not depend on their number.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "results/ood.h"
#include "vae/backbone.h"

namespace hebm {
class Options;
}

namespace hebm::evaluate {

struct OodOptions {
  std::int64_t num_images = 2000, chunk = 100;  // of each set
  std::vector<std::int64_t> k;                  // empty: 0 .. L - 1
  std::int64_t bootstrap = 1000;                // resamples of an interval
  std::int64_t bins = 40;                       // of a histogram
  std::int64_t seed = 3;                        // of the choice of images, all noise and the resamples
  void describe(Options& options);
};

struct OodSet {
  std::string name;
  const data::Dataset& dataset;
};

struct OodInputs {
  OodSet in, out;
  const vae::Backbone& backbone;
  const prior::EnergyPrior& prior;
  prior::LangevinOptions langevin;
};

// The values of k: options.k, or all. Error(kUsage) names one that the VAE's layers do not have, a
// set whose images have another shape than the VAE's, and one with too few test images.
std::vector<std::int64_t> check_ood(const OodOptions& options, const OodInputs& inputs);

// Collective; the result is rank 0's.
results::Ood ood(const OodOptions& options, const OodInputs& inputs, comm::Communicator& comm, Logger& logger);

// Counts of both sets in equal bins over the middle 99 % of all values.
results::PairedHistogram paired_histogram(
    const std::vector<double>& in, const std::vector<double>& out, std::int64_t bins);

}  // namespace hebm::evaluate
