#include <c10/core/GradMode.h>
#include <algorithm>
#include <utility>
#include "base/error.h"
#include "base/options_text.h"
#include "evaluate/evaluate.h"
#include "evaluate/measure.h"
#include "prior/chains.h"
#include "storage/hdf5.h"
#include "storage/lenient_json.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace {

// A positive number that stands in the object as text.
std::optional<std::int64_t> count_in(const nlohmann::json& object, const char* key) {
  constexpr std::int64_t kMost = 1'000'000'000;
  const auto value = hebm::detail::parse_number<std::int64_t>(storage::text_in(object, key));
  return value && *value >= 1 && *value <= kMost ? value : std::nullopt;
}

constexpr std::size_t kImageDimensions = 4;

double seconds_of(const std::string& text, const std::filesystem::path& file) {
  const auto value = hebm::detail::parse_number<double>(text);
  check(value && *value >= 0, ExitCode::kCorrupt, "{}: seconds = '{}' is no number", file.string(), text.substr(0, 40));
  return *value;
}

}  // namespace

StoredSamples read_stored_samples(const std::filesystem::path& file) {
  const auto h5 = storage::H5File::open(file);
  const auto info = h5.info("images");
  check(info.shape.size() == kImageDimensions && info.shape[0] > 0, ExitCode::kCorrupt,
      "{}: images are not [N, C, H, W] with N > 0", file.string());
  StoredSamples out;
  out.count = static_cast<std::int64_t>(info.shape[0]);
  out.seconds_per_image = seconds_of(h5.string_attribute("seconds"), file) / static_cast<double>(out.count);
  out.fingerprint = storage::lenient_json(h5.string_attribute("identity"));
  check(
      out.fingerprint.is_object(), ExitCode::kCorrupt, "{}: the attribute 'identity' is no JSON object", file.string());
  if (h5.has_attribute("images_hash")) out.images_hash = h5.string_attribute("images_hash");
  return out;
}

ImageBatch read_sample_images(
    const std::filesystem::path& path, const ImageShape& shape, std::int64_t first, std::int64_t count) {
  const auto file = storage::H5File::open(path);
  const auto info = file.info("images");
  const std::vector<std::uint64_t> image = {static_cast<std::uint64_t>(shape.channels),
      static_cast<std::uint64_t>(shape.height), static_cast<std::uint64_t>(shape.width)};
  check(info.shape.size() == kImageDimensions && std::equal(image.begin(), image.end(), info.shape.begin() + 1),
      ExitCode::kCorrupt, "{}: images of another shape than the VAE's {} x {} x {}", path.string(), image[0], image[1],
      image[2]);
  const auto available = static_cast<std::int64_t>(info.shape[0]);
  ImageBatch batch;
  batch.shape = shape;
  batch.count = count;
  const std::int64_t start = std::min(first, available - count);
  check(start >= 0, ExitCode::kUsage, "evaluate.chunk = {} is more than the {} images of {}", count, available,
      path.string());
  batch.pixels.resize(static_cast<std::size_t>(count * shape.size()));
  file.read_rows("images", storage::H5Type::kU8, static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(count),
      {reinterpret_cast<std::byte*>(batch.pixels.data()), batch.pixels.size()});
  // Row `first` comes to the front.
  std::rotate(batch.pixels.begin(), batch.pixels.begin() + (first - start) * shape.size(), batch.pixels.end());
  return batch;
}

std::optional<std::int64_t> training_gradients(bool by_chains, const nlohmann::json& fingerprint) {
  const auto updates = count_in(fingerprint, "train.updates"), batch = count_in(fingerprint, "train.batch");
  const auto steps = by_chains ? count_in(fingerprint, "langevin.steps") : std::optional<std::int64_t>(0);
  std::int64_t product = 0, chains = updates.value_or(0);  // of an image
  if (storage::text_in(fingerprint, "train.chain") == "reverse") {
    const auto levels = count_in(fingerprint, "prior.T"), from = count_in(fingerprint, "train.reverse_from");
    if (!levels) return std::nullopt;
    chains += std::max<std::int64_t>(0, chains - from.value_or(0)) * (*levels - 1);  // below 2e18
  }
  if (!updates || !batch || !steps || __builtin_mul_overflow(chains, *batch, &product) ||
      __builtin_mul_overflow(product, *steps + 2, &product))
    return std::nullopt;
  return product;
}

std::optional<std::int64_t> training_steps(const nlohmann::json& fingerprint) {
  return count_in(fingerprint, "langevin.steps");
}

SamplingCost chain_cost(std::optional<std::int64_t> num_levels, const nlohmann::json& samples) {
  const std::int64_t steps = storage::integer_in(samples, "langevin.steps");
  if (!num_levels || steps < 1) return {};
  return {*num_levels * steps, 0};
}

Scorer::Scorer(const EvaluateOptions& options, const ScoreInputs& inputs, comm::Communicator& comm, Logger& logger)
    : options_(options),
      in_(inputs),
      comm_(comm),
      logger_(logger),
      seed_(static_cast<std::uint64_t>(options.seed)),
      device_(inputs.backbone.params().device()) {
  const c10::NoGradGuard no_grad;
  const auto num_train = std::ssize(in_.dataset.members(data::Split::kTrain));
  const auto num_test = std::ssize(in_.dataset.members(data::Split::kTest));
  check(options.num_images <= num_test && options.num_images <= num_train, ExitCode::kUsage,
      "evaluate.num_images = {}: {} has {} training and {} test images; every row uses the same number",
      options.num_images, in_.dataset.path().string(), num_train, num_test);
  if (num_train < 3 * options.num_images)
    logger.line("note: {} training images are fewer than 3 x evaluate.num_images: the floor of fd_posterior is too low",
        num_train);
  Moments all = training_moments(in_.dataset, in_.features, options.chunk, comm, logger);
  real_ = collect(
      options.num_images, true,
      [&](const Chunk& c) { return split_images(in_.dataset, data::Split::kTrain, c.first, c.size, device_); },
      "features of the reference subset");
  real_.moments = std::move(all);
}

FeatureRows Scorer::collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) const {
  return collect_features(*in_.features.net, {n, options_.chunk, what}, keep, images, comm_, logger_);
}

FeatureRows Scorer::gaussian() const {
  return collect(
      options_.num_images, true,
      [&](const Chunk& c) {
        return images(prior::prior_noise(prior::chain_ids(seed_, c.first, c.size), in_.backbone.dim(), device_));
      },
      "Gaussian prior");
}

FeatureRows Scorer::reconstruction() const {
  return decoded({data::Split::kTest, 0, options_.num_images, options_.chunk, seed_}, "reconstructions");
}

FeatureRows Scorer::posterior_draws() const {
  return decoded(posterior_floor(options_.num_images, options_.chunk, seed_), "posterior draws");
}

const FeatureRows& Scorer::reference(std::int64_t n) const {
  const auto [found, is_new] = references_.try_emplace(n);
  if (is_new) found->second = decoded(posterior_reference(n, options_.chunk, seed_), "posterior draws to compare with");
  return found->second;
}

FeatureRows Scorer::decoded(const PosteriorDraws& draws, const std::string& what) const {
  return posterior_features(in_, draws, true, what, comm_, logger_);
}

FeatureRows Scorer::stored(const std::filesystem::path& samples, const std::string& what) const {
  StoredSamples stored;
  comm::agree(comm_, [&] {
    stored = read_stored_samples(samples);
    check(stored.count >= options_.num_images, ExitCode::kUsage,
        "{} holds {} images, evaluate.num_images is {}; sample more (sample.count) or score fewer", samples.string(),
        stored.count, options_.num_images);
  });
  FeatureRows out = collect(
      options_.num_images, true,
      [&](const Chunk& c) {
        return vae::image_tensor(read_sample_images(samples, in_.backbone.image_shape(), c.first, c.size)).to(device_);
      },
      what);
  out.seconds = stored.seconds_per_image * static_cast<double>(options_.num_images);
  return out;
}

vae::Posterior Scorer::posterior(data::Split split, std::int64_t first, std::int64_t count) const {
  return draw(in_, {.split = split, .seed = seed_}, first, count);
}

double Scorer::distance(const FeatureRows& rows) const {
  return measure<results::score("fd_fmnist")>({real_, real_, rows, options_.neighbours, seed_, comm_}).value;
}

double Scorer::posterior_distance(const FeatureRows& rows, std::int64_t n) const {
  return measure<results::score("fd_posterior")>({real_, reference(n), rows, options_.neighbours, seed_, comm_}).value;
}

results::Scores Scorer::scores(const FeatureRows& rows) const {
  const c10::NoGradGuard no_grad;
  const ScoreInput input{real_, reference(rows.features.size(0)), rows, options_.neighbours, seed_, comm_};
  return [&]<std::size_t... kScore>(std::index_sequence<kScore...>) {
    return results::Scores{{measure<kScore>(input)...}};  // in this order on every rank
  }
  (std::make_index_sequence<results::kScores.size()>());
}

results::Priors evaluate_priors(const EvaluateOptions& options, const ScoreInputs& inputs,
    const std::vector<PriorSamples>& samples, comm::Communicator& comm, Logger& logger) {
  const Scorer scorer(options, inputs, comm, logger);
  results::Priors out{{}, classifier(inputs.features), std::ssize(inputs.dataset.members(data::Split::kTrain))};
  const auto add = [&](const std::string& name, const results::PriorAbout& about, const FeatureRows& rows) {
    out.rows.push_back({name, about, scorer.scores(rows), rows.features.size(0),
        1000 * rows.seconds / static_cast<double>(options.num_images)});
  };
  add("Gaussian prior", {results::kGaussian, "", {}, 0, 0, 0, {}, {}}, scorer.gaussian());
  add("Reconstruction", {results::kReconstruction, "", {}, {}, {}, {}, {}, {}}, scorer.reconstruction());
  add("Posterior draws", {results::kPosterior, "", {}, {}, {}, {}, {}, {}}, scorer.posterior_draws());
  for (const PriorSamples& prior : samples) add(prior.name, prior.about, scorer.stored(prior.file, prior.name));
  return out;
}

}  // namespace hebm::evaluate
