// What most trainings do: the defaults of Objective.
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "train/training_loop.h"

namespace hebm::train {

std::int64_t epoch_updates(double epochs, std::size_t num_images, std::int64_t batch) {
  return std::max<std::int64_t>(1, std::llround(epochs * static_cast<double>(num_images) / static_cast<double>(batch)));
}

Objective::Objective(
    const LoopOptions& options, std::vector<Bucket> buckets, Recorder record, const comm::Communicator& comm)
    : options_(options),
      buckets_(std::move(buckets)),
      batches_(options_.batch, options_.micro_batch, comm.rank(), comm.size(),
          fmt::format("{0}.batch, {0}.micro_batch", options_.section)),
      record_(std::move(record)) {}

Plan Objective::begin(const Update& /*update*/) {
  const std::int64_t passes = options_.whole_batch ? 1 : batches_.last - batches_.first;
  return {std::vector<std::int64_t>(buckets_.size(), passes), std::vector<bool>(buckets_.size(), true)};
}

std::string Objective::judge(const Update& /*update*/, const std::string& of_gradients) {
  return std::isfinite(record_.at(kLoss)) ? of_gradients : fmt::format("the loss is {}", record_.at(kLoss));
}

std::string Objective::progress(const Report& /*report*/) const {
  return fmt::format("loss {:.5g}", record_.at(kLoss));
}

storage::Scalars Objective::describe(const Report& report) const {
  double norm = 0;  // of all buckets together; of one exactly its own
  for (const double of_bucket : report.gradient_norms) norm = std::hypot(norm, of_bucket);
  return {{"loss", record_.at(kLoss)}, {"gradient_norm", norm}, {"images_per_s", report.images_per_s}};
}

}  // namespace hebm::train
