#include "results/warnings.h"
#include <fmt/format.h>
#include "storage/lenient_json.h"

namespace hebm::results {
namespace {

constexpr const char* kSteps = "langevin.steps";

// "" where they stay.
std::string left_posterior(const std::string& name, const Scores& scores, const auto& all) {
  const double share = all.of_gaussian(scores);
  if (!(scores.fd() < all.fd(kReconstruction)) || !(share > kLeft)) return {};
  return fmt::format(
      "{}: the chains leave the posterior. The samples are nearer to the training images than the reconstructions "
      "(fd_fmnist {:.2f} against {:.2f}), and their distance to posterior draws is {:.2f}, where {:.2f} is the floor. "
      "Draw with fewer Langevin steps.",
      name, scores.fd(), all.fd(kReconstruction), scores.fd_posterior(), all.fd_posterior(kPosterior));
}

// "" where the images are the decoder's mean at temperature 1, as the posterior draws are.
std::string other_decode(const nlohmann::json& samples) {
  const double temperature = storage::number_in(samples, "sample.temperature");
  const bool drawn = storage::text_in(samples, "sample.pixels") == "sample";
  if (!drawn && !(temperature < 1) && !(temperature > 1)) return {};
  return "The samples have " +
         (drawn ? std::string("drawn pixels") : fmt::format("the decoder's temperature {:g}", temperature)) +
         ". Posterior draws are decoded to the mean at temperature 1, so fd_posterior has this difference too.";
}

// "" where there are enough of them.
std::string few_images(const Count& images) {
  if (!images || *images >= kImagesPerFeature * kNumFeatures) return {};
  const std::string n = fmt::format("Rows of {} images for {} features: ", *images, kNumFeatures);
  if (*images <= kNumFeatures)
    return n + fmt::format(
                   "their covariance is singular, and the distances say little. Score more images "
                   "(evaluate.num_images), {} or more.",
                   kImagesPerFeature * kNumFeatures);
  return n + fmt::format(
                 "the distances come out too large, and only rows of as many images compare. Score more images "
                 "(evaluate.num_images), {} or more.",
                 kImagesPerFeature * kNumFeatures);
}

void add(std::vector<std::string>& out, std::string text) {
  if (!text.empty()) out.push_back(std::move(text));
}

}  // namespace

std::vector<std::string> warnings(const Summary& summary) {
  std::vector<std::string> out;
  const ScoredSet* first = summary.find(kGaussian);
  if (first != nullptr) add(out, few_images(first->num_images));
  const ScoredSet* own = summary.own();
  if (own == nullptr) return out;
  add(out, left_posterior(own->key == kOwn ? "Ours" : own->title(), own->scores, summary));
  const Count steps = summary.model.langevin_steps, trained = summary.model.training_steps;
  if (steps && trained && *steps > *trained)
    out.push_back(
        fmt::format("The samples took {} Langevin steps a level, the prior was trained with {}. More steps can lower "
                    "fd_fmnist and raise fd_posterior: a prior is judged by fd_posterior.",
            *steps, *trained));
  add(out, other_decode(summary.samples));
  return out;
}

std::vector<std::string> warnings(const Priors& priors) {
  std::vector<std::string> out;
  if (!priors.rows.empty()) add(out, few_images(priors.rows.front().num_images));
  for (const PriorRow& row : priors.rows) {
    if (row.about.samples.is_object()) add(out, left_posterior(row.name, row.scores, priors));
  }
  const double range = kLeft * (priors.fd_posterior(kGaussian) - priors.fd_posterior(kPosterior));
  for (const PriorRow& a : priors.rows) {
    for (const PriorRow& b : priors.rows) {
      const std::string prior = storage::text_in(a.about.samples, "prior_hash");
      const std::int64_t few = storage::integer_in(a.about.samples, kSteps),
                         many = storage::integer_in(b.about.samples, kSteps);
      if (prior.empty() || storage::text_in(b.about.samples, "prior_hash") != prior || few < 1 || many <= few) continue;
      if (!(b.scores.fd() < a.scores.fd()) || !(b.scores.fd_posterior() > a.scores.fd_posterior() + range)) continue;
      out.push_back(fmt::format(
          "{}: {} instead of {} Langevin steps lower fd_fmnist ({:.2f} to {:.2f}) and raise fd_posterior ({:.2f} to "
          "{:.2f}). The longer chains leave the posterior.",
          b.name, many, few, a.scores.fd(), b.scores.fd(), a.scores.fd_posterior(), b.scores.fd_posterior()));
    }
  }
  return out;
}

}  // namespace hebm::results
