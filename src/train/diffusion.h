// Algorithm 1: learning the energy nets of all layers by maximum likelihood with short Langevin
// chains. The joint EBM is the same with one level.
#pragma once
#include "prior/forward_pair.h"
#include "train/prior_objective.h"

namespace hebm::train {

class DiffusionObjective : public Objective {
 public:
  // heads: the prior's, whose loss a derived class adds (coupling.h).
  DiffusionObjective(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run,
      const prior::LabelHeads& heads = {});

  nlohmann::json saved() const override { return {{"gaps", monitor_.state()}}; }
  void resume(std::int64_t update, const nlohmann::json& saved) override;
  Plan begin(const Update& update) override;
  void learn(const Work& work, GradientSum& gradients) override;
  std::string judge(const Update& update, const std::string& of_gradients) override;
  double cost(std::int64_t updates) const override;
  void after_update() override;
  std::string progress(const Report& report) const override;
  storage::Scalars describe(const Report& report) const override;
 protected:
  // Fields of the record, by t. Term i of F has two, kTerms + 2 i and the next: f / s_t^2 of the
  // positives and of the negatives. Terms are the layers, then the label heads.
  enum Field : std::size_t { kCount, kDisplacement, kChainSeconds, kTerms };
  // A micro-batch of line 7: rows of B positives, then B negatives; constants for the nets.
  struct Contrast {
    std::vector<at::Tensor> z;          // [L] of [2 B, c, h, w]
    bool last = true;                   // no other backward of these nets follows in this micro-batch
    at::Tensor t, weights;              // [B]
    at::Tensor t_both, variances;       // [2 B]
    std::vector<std::uint32_t> images;  // [B]
    std::size_t first_bucket;           // of layer 0; the others' follow
    bool has_zero;                      // some t is 0
  };
  struct LayerLoss {
    at::Tensor loss, labels;  // one number; [2 B, rows] of the label heads
  };
  // Eq. 12 of one layer, as a loss; recorded.
  LayerLoss layer_loss(const Contrast& contrast, std::size_t layer);
  // Backward of the losses of all layers.
  virtual void backward_by_layer(const Contrast& contrast, GradientSum& gradients);

  PriorTrainOptions settings_;
  PriorInputs in_;
  std::size_t num_terms_;
  std::int64_t global_rows_ = 0;        // of all micro-batches and levels of this update: the loss is their mean
  std::vector<double> step_variances_;  // s_t^2
 private:
  bool one_level_a_batch() const { return settings_.levels == Levels::kMicroBatch || settings_.only_zero; }
  // Level of a micro-batch whose images share one.
  std::int64_t level_of(std::int64_t batch, const Update& update) const;
  prior::Chains place_chains(const prior::ChainIds& ids, const Work& work) const;
  at::Tensor draw_negatives(const prior::Chains& chains, const at::Tensor& u_next);
  Contrast make_contrast(const prior::ChainIds& ids, const prior::Chains& chains, const prior::NoisyPair& pair,
      const at::Tensor& negatives);
  // reverse_training.cpp: train.chain = reverse.
  bool on_reverse_chain(const Update& update) const;
  Plan plan_reverse(const Update& update);
  void learn_reverse(const prior::ChainIds& ids, const at::Tensor& u_0, GradientSum& gradients);
  std::vector<double> counts() const;  // [T] images
  std::vector<double> gaps() const;    // [T] mean of F(pos) - F(neg), label heads included; 0 where no image is

  at::Device device_;
  int num_ranks_;
  std::vector<prior::StepCoefficients> coefficients_;
  std::vector<double> level_weights_;
  at::Tensor weight_of_level_, variance_of_level_;  // on the device: [T] float32, [T] float64
  DivergenceMonitor monitor_;
  LatentSource source_;  // made by resume(), which begins every run
  prior::UpdateWeights update_weights_;
  std::vector<bool> active_;  // by bucket: gets a gradient in this update
};

}  // namespace hebm::train
