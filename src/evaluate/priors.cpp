#include "evaluate/priors.h"
#include <fmt/format.h>
#include <charconv>
#include "evaluate/experiment.h"
#include "evaluate/scorer.h"
#include "evaluate/stored_samples.h"
#include "storage/lenient_json.h"

namespace hebm::evaluate {
namespace {

// A positive number that stands in the object as text.
std::optional<std::int64_t> count_in(const nlohmann::json& object, const char* key) {
  const std::string text = storage::text_in(object, key);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr std::int64_t kMost = 1'000'000'000;
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMost) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> training_gradients(bool by_chains, const nlohmann::json& identity) {
  const auto updates = count_in(identity, "train.updates"), batch = count_in(identity, "train.batch");
  const auto steps = by_chains ? count_in(identity, "langevin.steps") : std::optional<std::int64_t>(0);
  std::int64_t product = 0;
  if (!updates || !batch || !steps || __builtin_mul_overflow(*updates, *batch, &product) ||
      __builtin_mul_overflow(product, *steps + 2, &product))
    return std::nullopt;
  return product;
}

SamplingCost sampling_cost(std::optional<std::int64_t> num_levels, const nlohmann::json& samples) {
  const std::int64_t steps = storage::integer_in(samples, "langevin.steps");
  if (storage::text_in(samples, "nce.sampler") == "resampling")
    return {0, storage::integer_in(samples, "nce.proposals")};
  if (!num_levels || steps < 1) return {};
  return {*num_levels * steps, 0};
}

results::Priors evaluate_priors(const EvaluateOptions& options, const data::Dataset& dataset,
    const vae::Backbone& backbone, const nets::LoadedFeatureNet& features, const std::vector<PriorSamples>& samples,
    comm::Communicator& comm, Logger& logger) {
  Scorer scorer(options, dataset, backbone, features, comm, logger);
  results::Priors out{{}, classifier(features), std::ssize(dataset.members(data::Split::kTrain))};
  const auto add = [&](const std::string& name, const results::PriorAbout& about, const FeatureRows& rows,
                       double seconds) {
    out.rows.push_back({name, about, scorer.scores(rows), rows.features.size(0),
        1000 * seconds / static_cast<double>(options.num_images)});
  };
  const auto gaussian = scorer.gaussian(), reconstruction = scorer.reconstruction();
  add("Gaussian prior", {"gaussian", "", {}, 0, 0, 0, {}, {}}, gaussian, gaussian.seconds);
  add("Reconstruction", {"reconstruction", "", {}, {}, {}, {}, {}, {}}, reconstruction, reconstruction.seconds);
  for (const PriorSamples& prior : samples) {
    const auto rows = scorer.stored(prior.file, prior.name);
    add(prior.name, prior.about, rows,
        read_stored_samples(prior.file).seconds_per_image * static_cast<double>(options.num_images));
  }
  return out;
}

}  // namespace hebm::evaluate
