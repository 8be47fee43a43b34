#include "evaluate/scorer.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/error.h"
#include "base/visits.h"
#include "evaluate/experiment.h"
#include "evaluate/frechet.h"
#include "evaluate/kid.h"
#include "evaluate/stored_samples.h"
#include "evaluate/training_moments.h"
#include "prior/chains.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace {

struct Rows {
  std::int64_t first, count;
};

Rows rows_of(const comm::Communicator& comm, std::int64_t n) {
  const std::int64_t first = n * comm.rank() / comm.size();
  return {first, n * (comm.rank() + 1) / comm.size() - first};
}

}  // namespace

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
  real_ = training_moments(dataset, features, options.chunk, comm, logger);
  real_features_ = collect(
                       options.num_images, true,
                       [&](std::int64_t first, std::int64_t count) {
                         return split_images(dataset, data::Split::kTrain, first, count, device_);
                       },
                       "features of the reference subset")
                       .features;
}

FeatureRows Scorer::collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) {
  return collect_features(*features_.net, origin_, n, options_.chunk, keep, images, comm_, logger_, what);
}

FeatureRows Scorer::gaussian() {
  return collect(
      options_.num_images, true,
      [&](std::int64_t first, std::int64_t count) {
        const at::Tensor u = prior::prior_noise(prior::chain_ids(seed_, first, count), backbone_.dim(), device_);
        return backbone_.mean_image(backbone_.decode(u));
      },
      "Gaussian prior");
}

FeatureRows Scorer::reconstruction() {
  return collect(
      options_.num_images, true,
      [&](std::int64_t first, std::int64_t count) {
        return backbone_.mean_image(backbone_.decode_posterior(posterior(data::Split::kTest, first, count)));
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
      [&](std::int64_t first, std::int64_t count) {
        return vae::image_tensor(read_sample_images(samples, backbone_.image_shape(), first, count)).to(device_);
      },
      what);
}

FeatureRows Scorer::test_images() {
  return collect(
      static_cast<std::int64_t>(dataset_.members(data::Split::kTest).size()), false,
      [&](std::int64_t first, std::int64_t count) {
        return split_images(dataset_, data::Split::kTest, first, count, device_);
      },
      "features of the test images");
}

vae::Posterior Scorer::posterior(data::Split split, std::int64_t first, std::int64_t count) const {
  const auto index = split_members(dataset_, split, first, count);
  const std::vector<std::uint32_t> visits(index.size(), visits::kScores);
  return backbone_.posterior(
      vae::image_tensor(dataset_.read(index)).to(device_),
      vae::posterior_noise({seed_, 0, Purpose::kPosterior}, index, visits, backbone_.dim()).to(device_));
}

double Scorer::distance(const FeatureRows& rows) const { return frechet_distance(real_, rows.sums.moments()).total(); }

at::Tensor Scorer::shared_radii(const at::Tensor& features) {
  const std::int64_t n = features.size(0);
  std::vector<double> all(static_cast<std::size_t>(n), 0.0);
  comm::agree(comm_, [&] {
    const Rows mine = rows_of(comm_, n);
    if (mine.count == 0) return;
    const at::Tensor radii = neighbour_radii(features, options_.neighbours, mine.first, mine.count).contiguous();
    std::copy_n(radii.const_data_ptr<double>(), mine.count, all.begin() + mine.first);
  });
  comm_.all_reduce(std::span<double>(all), comm::Op::kSum);  // every entry comes from one rank: exact
  at::Tensor out = at::empty({n}, at::kDouble);
  std::copy(all.begin(), all.end(), out.mutable_data_ptr<double>());
  return out;
}

PrecisionRecall Scorer::manifold_scores(const at::Tensor& generated) {
  if (!real_radii_.defined()) real_radii_ = shared_radii(real_features_);
  const at::Tensor radii = shared_radii(generated);
  std::vector<double> inside(2, 0.0);
  comm::agree(comm_, [&] {
    const Rows g = rows_of(comm_, generated.size(0)), r = rows_of(comm_, real_features_.size(0));
    if (g.count > 0)
      inside[0] = static_cast<double>(count_inside(generated.narrow(0, g.first, g.count), real_features_, real_radii_));
    if (r.count > 0)
      inside[1] = static_cast<double>(count_inside(real_features_.narrow(0, r.first, r.count), generated, radii));
  });
  comm_.all_reduce(std::span<double>(inside), comm::Op::kSum);
  return {inside[0] / static_cast<double>(generated.size(0)), inside[1] / static_cast<double>(real_features_.size(0))};
}

nlohmann::json Scorer::score(const FeatureRows& rows, double seconds) {
  const c10::NoGradGuard no_grad;
  const Kid kid = kernel_distance(real_features_, rows.features, {.key = {seed_, 0, Purpose::kSubset}});
  const PrecisionRecall pr = manifold_scores(rows.features);
  return {{"fd_fmnist", distance(rows)},     {"num_images", rows.sums.count()}, {"seconds", seconds}, {"kid", kid.mean},
          {"kid_error", kid.standard_error}, {"precision", pr.precision},       {"recall", pr.recall}};
}

}  // namespace hebm::evaluate
