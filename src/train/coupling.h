// Coupling with labels (Eq. 20, 21): Algorithm 1 with the label heads' loss beside that of the
// layers at t = 0.
#pragma once
#include <string>
#include <vector>
#include "train/diffusion.h"
#include "train/label_term.h"

namespace hebm::train {

class CouplingObjective final : public DiffusionObjective {
 public:
  // labels: of the prior's label heads; must outlive this.
  CouplingObjective(
      const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, const LabelTerm& labels);

  std::string progress(const Report& report) const override;
  storage::Scalars describe(const Report& report) const override;
 private:
  // One graph of all layers, which the labels couple.
  void descend(const Contrast& contrast, GradientSum& gradients) override;
  // Fields of the record, of head h at t = 0.
  std::size_t entropy_field(std::size_t h) const { return kTerms + 2 * num_terms_ + 2 * h; }
  std::size_t hits_field(std::size_t h) const { return entropy_field(h) + 1; }

  const LabelTerm& labels_;
};

}  // namespace hebm::train
