#include "evaluate/scorer.h"
#include <c10/core/GradMode.h>
#include "base/error.h"
#include "base/visits.h"
#include "evaluate/experiment.h"
#include "evaluate/stored_samples.h"
#include "evaluate/training_moments.h"
#include "prior/chains.h"
#include "vae/inputs.h"

namespace hebm::evaluate {

Scorer::Scorer(const EvaluateOptions& options, const data::Dataset& dataset, const vae::Backbone& backbone,
    const nets::LoadedFeatureNet& features, comm::Communicator& comm, Logger& logger)
    : options_(options),
      dataset_(dataset),
      backbone_(backbone),
      features_(features),
      comm_(comm),
      logger_(logger),
      seed_(static_cast<std::uint64_t>(options.seed)),
      device_(backbone.params().device()) {
  const c10::NoGradGuard no_grad;
  const auto num_train = static_cast<std::int64_t>(dataset.members(data::Split::kTrain).size());
  const auto num_test = static_cast<std::int64_t>(dataset.members(data::Split::kTest).size());
  check(options.num_images <= num_test && options.num_images <= num_train, ExitCode::kUsage,
      "evaluate.num_images = {}: {} has {} training and {} test images; every row uses the same number",
      options.num_images, dataset.path().string(), num_train, num_test);
  const Moments all = training_moments(dataset, features, options.chunk, comm, logger);
  real_ = collect(
      options.num_images, true,
      [&](const Chunk& c) { return split_images(dataset, data::Split::kTrain, c.first, c.size, device_); },
      "features of the reference subset");
  real_.moments = all;
}

FeatureRows Scorer::collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) {
  return collect_features(*features_.net, {n, options_.chunk, what}, keep, images, comm_, logger_);
}

FeatureRows Scorer::gaussian() {
  return collect(
      options_.num_images, true,
      [&](const Chunk& c) {
        const at::Tensor u = prior::prior_noise(prior::chain_ids(seed_, c.first, c.size), backbone_.dim(), device_);
        return backbone_.mean_image(backbone_.decode(u));
      },
      "Gaussian prior");
}

FeatureRows Scorer::reconstruction() {
  return collect(
      options_.num_images, true,
      [&](const Chunk& c) {
        return backbone_.mean_image(backbone_.decode_posterior(posterior(data::Split::kTest, c.first, c.size)));
      },
      "reconstructions");
}

FeatureRows Scorer::stored(const std::filesystem::path& samples, const std::string& what) {
  comm::agree(comm_, [&] {
    const StoredSamples stored = read_stored_samples(samples);
    check(stored.count >= options_.num_images, ExitCode::kUsage,
        "{} holds {} images, evaluate.num_images is {}; sample more (sample.count) or score fewer", samples.string(),
        stored.count, options_.num_images);
  });
  return collect(
      options_.num_images, true,
      [&](const Chunk& c) {
        return vae::image_tensor(read_sample_images(samples, backbone_.image_shape(), c.first, c.size)).to(device_);
      },
      what);
}

FeatureRows Scorer::test_images() {
  return collect(
      static_cast<std::int64_t>(dataset_.members(data::Split::kTest).size()), false,
      [&](const Chunk& c) { return split_images(dataset_, data::Split::kTest, c.first, c.size, device_); },
      "features of the test images");
}

vae::Posterior Scorer::posterior(data::Split split, std::int64_t first, std::int64_t count) const {
  const auto index = split_members(dataset_, split, first, count);
  const std::vector<std::uint32_t> visits(index.size(), visits::kScores);
  return backbone_.posterior(vae::image_tensor(dataset_.read(index)).to(device_),
      vae::posterior_noise({seed_, 0, Purpose::kPosterior}, index, visits, backbone_.dim()).to(device_));
}

double Scorer::distance(const FeatureRows& rows) const {
  return measure<results::score("fd_fmnist")>({real_, rows, options_.neighbours, seed_, comm_}).value;
}

results::Scores Scorer::scores(const FeatureRows& rows) const {
  const c10::NoGradGuard no_grad;
  return measure_all({real_, rows, options_.neighbours, seed_, comm_});
}

}  // namespace hebm::evaluate
