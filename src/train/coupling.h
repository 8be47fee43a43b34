// Coupling with labels at t = 0: Algorithm 1 with the label heads' loss (Eq. 20) beside that of the
// layers. All other terms (Eq. 21) are those of `train`.
#pragma once
#include <string>
#include <vector>
#include "train/diffusion.h"

namespace hebm::train {

class LabelTerm {
 public:
  // categories[h][n]: of head h for image n of the data set. weight: factor of the cross-entropy
  // beside log p-hat (the paper's is 1).
  LabelTerm(prior::LabelHeads heads, std::vector<std::vector<std::int64_t>> categories, double weight);
  const prior::LabelHeads& heads() const { return heads_; }
  // Of these images, [B, heads] int64 on the host.
  at::Tensor of_images(const std::vector<std::uint32_t>& images) const;

  struct Head {
    at::Tensor loss;                 // one number, differentiable
    at::Tensor positive, negative;   // [B] log sum exp, detached: the head's share of F-hat / s_0^2
    at::Tensor cross_entropy, hits;  // [B], detached: nats; 1 where the likeliest category is the image's
  };
  // The heads' part of Eq. 20: contrastive in s_0^2 log sum exp as the f_i are, plus weight * s_0^2
  // * cross-entropy of the positives, summed with row_weight over global_batch, so that both halves
  // of Eq. 20 keep their proportion at any weight of t = 0. outputs: by layer [2 B, rows] of
  // positives, then negatives; category [B, heads]; row_weight [B], 0 for rows of other levels.
  std::vector<Head> losses(const std::vector<at::Tensor>& outputs, const at::Tensor& category,
      const at::Tensor& row_weight, double s2, std::int64_t global_batch) const;
 private:
  prior::LabelHeads heads_;
  std::vector<std::vector<std::int64_t>> categories_;
  double weight_;
};

class CouplingObjective final : public DiffusionObjective {
 public:
  // labels: of the prior's label heads; must outlive this.
  CouplingObjective(
      const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, const LabelTerm& labels)
      : DiffusionObjective(options, in, run, labels.heads()), labels_(labels) {}

  std::string progress(const Report& report) const override;
  storage::Scalars describe(const Report& report) const override;
 private:
  // One graph of all layers, which the labels couple.
  void backward_by_layer(const Contrast& contrast, GradientSum& gradients) override;
  // Fields of the record, of head h at t = 0.
  std::size_t entropy_field(std::size_t h) const { return kTerms + 2 * num_terms_ + 2 * h; }
  std::size_t hits_field(std::size_t h) const { return entropy_field(h) + 1; }

  const LabelTerm& labels_;
};

}  // namespace hebm::train
