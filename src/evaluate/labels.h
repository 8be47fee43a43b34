// What a prior with label heads knows and does (Sec. 5.3, Fig. 5): p(y | u_0) on test images (Eq.
// 19), and images drawn for each category (Eq. 20), which the classifier of the scores reads
// without knowing what was asked for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include "base/status.h"
#include "comm/communicator.h"
#include "evaluate/experiment.h"
#include "results/experiments.h"

namespace hebm {
class Options;
}

namespace hebm::evaluate {

struct LabelsOptions {
  std::int64_t num_test = 2000, num_samples = 2000, chunk = 100;
  std::int64_t columns = 10;  // images of a category in the grid
  std::int64_t seed = 1;
  void describe(Options& options);
};

// Collective; inputs.prior has heads. Chain c = 0, 1, ... is drawn without a label as `sample` does
// with the same seed and chunk, and once for category c mod C of every head as `sample --label`
// does. The result is rank 0's. Grids, a category a row: directory/labels-NAME-HEAD.png.
results::Labels labels(const LabelsOptions& options, const LabelGuidance& guidance, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const std::filesystem::path& directory, const std::string& name);

}  // namespace hebm::evaluate
