// What a prior with label heads knows and does (Sec. 5.3, Fig. 5): p(y | u_0) on test images (Eq.
// 19), and images drawn for each category (Eq. 20), which the classifier of the scores reads
// without knowing what was asked for.
#pragma once
#include "evaluate/experiment.h"
#include "prior/reverse_chain.h"
#include "results/experiments.h"

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

// Several attributes step by step (Sec. 5.3, Fig. 4): the first step draws all layers with its
// attributes; each later one holds the layers of the attributes before it and draws the others
// anew, given these and with its own attributes too. What images show is read again after every
// step.

struct ComposeOptions {
  std::int64_t num_samples = 1000, chunk = 100;
  std::int64_t rows = 10;  // of the grid
  std::int64_t seed = 1;
  void describe(Options& options);
};

struct Asked {
  std::size_t head = 0;
  std::int64_t category = -1;  // -1: all categories in turn
};
using ComposeSteps = std::vector<std::vector<Asked>>;

// "group=top/brightness,width=wide": steps with '/', their attributes with ','; without '=' all
// categories in turn. "": heads in the order of their top layers, each in the first step after
// which all its layers are held, or in one of its own. Error(kUsage) naming what is wrong: a label
// or category that is not there (those that are), one twice, one whose layers earlier steps hold
// all.
ComposeSteps parse_steps(const std::string& text, const prior::LabelHeads& heads);
// Layers that step s leaves where they are: those of all heads of the steps before it. Ascending.
std::vector<std::int64_t> held_layers(const ComposeSteps& steps, std::size_t s, const prior::LabelHeads& heads);
// Category of every head that chain c is asked for, -1 for heads of no step: mixed radix digits of
// c over the heads asked in turn.
std::vector<std::int64_t> asked_of_chain(const ComposeSteps& steps, const prior::LabelHeads& heads, std::int64_t chain);

// u_0 after each step, [B, D]: held layers are those of the step before, bit by bit. asked [B,
// heads]; ids: visit 0.
std::vector<at::Tensor> compose_chains(const prior::ReverseChain& chain, const prior::EnergyPrior& prior,
    const ComposeSteps& steps, const at::Tensor& asked, const LabelGuidance& guidance, const prior::ChainIds& ids);

// Collective; the result is rank 0's, without the prior's name. The grid is a PNG, a chain a row
// and a step a column.
results::Compose compose(const ComposeOptions& options, const ComposeSteps& steps, const LabelGuidance& guidance,
    const ExperimentInputs& inputs, comm::Communicator& comm, Logger& logger, const std::filesystem::path& grid);

}  // namespace hebm::evaluate
