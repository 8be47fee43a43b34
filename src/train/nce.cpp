#include "train/nce.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include "prior/nce.h"

namespace hebm::train {
namespace {

class NceObjective final : public Objective {
 public:
  NceObjective(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run)
      : Objective(
            options, buckets_of(in.prior), Recorder(1 + 2 * in.prior.num_layers(), 1, in.prior.device()), run.comm),
        in_(in),
        layers_(in.prior.num_layers()) {}

  void resume(std::int64_t update, const nlohmann::json& /*saved*/) override {
    source_ = in_.make_source(batches_, update);
  }

  void learn(const Work& work, GradientSum& gradients) override {
    const LatentBatch latents = source_.read(work);
    const prior::ChainIds ids = ids_of(latents, in_.seed, work.update.attempt);
    const at::Tensor u0 = on_device(latents, in_.prior.device());
    const std::int64_t count = latents.count;
    for (std::size_t i = 0; i < layers_; ++i) {
      const prior::EnergyNet& net = in_.prior.bucket(i);
      const at::Tensor z = prior::contrast_layer(u0, i, in_.backbone, ids);
      const c10::AutoGradMode grad_on(true);
      const auto weights = net.weights(true);
      const at::Tensor logits = net.outputs(weights, net.select(weights, {}), z).f;  // [2 B]
      const at::Tensor positive = logits.narrow(0, 0, count), negative = logits.narrow(0, count, count);
      const at::Tensor loss = prior::nce_loss(positive, negative, batches_.batch);
      torch::autograd::backward({loss}, {});
      gradients.backward_done(i);
      record_.add(kLoss, loss);
      record_.add(loss_field(i), loss);
      record_.add(hits_field(i), positive.gt(0).sum() + negative.lt(0).sum());
    }
  }

  void after_update() override {
    for (std::size_t i = 0; i < layers_; ++i) in_.prior.bucket(i).power_iterate(in_.energy.power_iterations);
  }

  storage::Scalars describe(const Report& report) const override {
    storage::Scalars out = Objective::describe(report);
    for (std::size_t i = 0; i < layers_; ++i) {
      out.emplace_back(fmt::format("loss/layer{}", i), record_.at(loss_field(i)));
      out.emplace_back(
          fmt::format("accuracy/layer{}", i), record_.at(hits_field(i)) / static_cast<double>(2 * batches_.batch));
    }
    return out;
  }
 private:
  std::size_t loss_field(std::size_t layer) const { return 1 + layer; }
  std::size_t hits_field(std::size_t layer) const { return 1 + layers_ + layer; }

  PriorInputs in_;
  std::size_t layers_;
  LatentSource source_;
};

}  // namespace

std::unique_ptr<Objective> make_nce(const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run) {
  PriorTrainOptions nce = options;
  nce.name = nce.subject = "train-nce";
  nce.advice = "take a smaller train.learning_rate or energy.gain";
  return std::make_unique<NceObjective>(nce, in, run);
}

}  // namespace hebm::train
