#include "train/train_nce.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "nets/device.h"
#include "prior/nce.h"

namespace hebm::train {
namespace {

NetLoopOptions loop_options(const PriorTrainOptions& o, std::function<void()> after_update) {
  NetLoopOptions out;
  out.name = "train-nce";
  out.advice = "take a smaller train.learning_rate or energy.gain";
  out.updates = o.updates;
  out.optimiser = {.rule = nets::Rule::kAdam, .beta1 = o.beta1, .beta2 = o.beta2, .weight_decay = o.weight_decay};
  out.rate = o.rate_schedule();
  out.ema = o.ema;
  out.clip_norm = o.clip_norm;
  out.checkpoint_every = o.checkpoint_every;
  out.keep = o.keep;
  out.log_every = o.log_every;
  out.max_rollbacks = o.max_rollbacks;
  out.deterministic = o.deterministic;
  out.after_update = std::move(after_update);
  return out;
}

// One micro-batch after the other, in the order of the updates, wherever they begin.
class Units {
 public:
  Units(const PriorTrainer::MakeSource& make_source, const MicroBatches& units)
      : make_source_(make_source), units_(units) {}
  LatentBatch next(std::int64_t update, std::int64_t unit) {
    if (unit == units_.first && update != update_ + 1)
      source_ = make_source_(units_, update);  // the first, or after a rollback
    update_ = update;
    return source_->next();
  }

 private:
  const PriorTrainer::MakeSource& make_source_;
  const MicroBatches& units_;
  std::unique_ptr<LatentSource> source_;
  std::int64_t update_ = -2;
};

}  // namespace

NceResult train_nce(const PriorTrainOptions& options, NceInputs in, const StopFlag* stop, comm::Communicator& comm,
                    Logger& logger) {
  const MicroBatches units(options.batch, options.micro_batch, comm.rank(), comm.size(),
                           "train.batch, train.micro_batch");
  const std::size_t layers = in.prior.num_layers();
  std::vector<Bucket> buckets;
  for (std::size_t i = 0; i < layers; ++i) buckets.push_back({in.prior.bucket_name(i), in.prior.bucket(i).params()});
  NetLoop loop(loop_options(options,
                            [&] {
                              for (std::size_t i = 0; i < layers; ++i)
                                in.prior.bucket(i).power_iterate(in.power_iterations);
                            }),
               buckets, units, in.directory, in.identity, comm, logger);
  Units source(in.make_source, units);

  const auto learn = [&](const UpdatePlace& place, std::int64_t unit, std::int64_t, std::span<double> sums) {
    const LatentBatch latents = source.next(place.update, unit);
    const prior::ChainIds ids = ids_of(latents, in.seed, place.attempt);
    const at::Tensor u0 = on_device(latents, in.prior.device());
    const at::Tensor level =
        nets::on_device(std::vector<std::int64_t>(static_cast<std::size_t>(2 * latents.count), 0), in.prior.device());
    for (std::size_t i = 0; i < layers; ++i) {
      const prior::EnergyNet& net = in.prior.bucket(i);
      const at::Tensor z = prior::contrast_layer(u0, i, in.backbone, ids);
      const c10::AutoGradMode grad_on(true);
      const auto weights = net.weights(true);
      const at::Tensor logits = net.forward(weights, net.select(weights, level), z);  // [2 B]
      const at::Tensor positive = logits.narrow(0, 0, latents.count),
                       negative = logits.narrow(0, latents.count, latents.count);
      const at::Tensor loss = prior::nce_loss(positive, negative, options.batch);
      torch::autograd::backward({loss}, {});
      sums[0] += loss.item<double>();
      sums[1 + i] += loss.item<double>();
      sums[1 + layers + i] += (positive.gt(0).sum() + negative.lt(0).sum()).item<double>();
    }
  };
  const auto describe = [&](const UpdatePlace&, std::span<const double> sums) {
    storage::Scalars out;
    for (std::size_t i = 0; i < layers; ++i) {
      out.emplace_back(fmt::format("loss/layer{}", i), sums[1 + i]);
      out.emplace_back(fmt::format("accuracy/layer{}", i),
                       sums[1 + layers + i] / static_cast<double>(2 * options.batch));
    }
    return out;
  };
  const Outcome outcome = loop.run(1 + 2 * layers, learn, describe, stop);
  if (outcome == Outcome::kDone) {
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < layers; ++i) in.prior.bucket(i).params().flat().copy_(loop.ema(i).flat());
  }
  return {outcome, loop.update_count(), loop.save_failed()};
}

}  // namespace hebm::train
