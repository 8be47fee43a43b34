// Scores of priors and reconstructions on one data set, against the training images and against
// decoded posterior draws of them (docs/method.md, "Scores"): Frechet distance (fd_fmnist,
// fd_posterior) of the classifier's features, float64, KID, precision and recall; gap closed, the
// scores by level; and the priors on one backbone beside each other, as in the paper's Table 1
// (`evaluate --all`).
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include "base/types.h"
#include "evaluate/experiment.h"
#include "evaluate/features.h"
#include "evaluate/posterior.h"
#include "results/summary.h"

namespace hebm::evaluate {

struct EvaluateOptions {
  std::int64_t num_images = 5000, chunk = 100;
  bool by_level = false;
  std::int64_t level_images = 2000;  // of by_level
  std::vector<double> temperatures;  // of the final decode, for Gaussian and diffusion prior; empty: not measured
  std::int64_t temperature_images = 2000;
  std::int64_t neighbours = 3;  // of precision and recall
  std::int64_t seed = 2;        // of Gaussian samples, reconstruction noise and KID's subsets
  void describe(Options& options);
};

// What one image costs in sampling: gradients of all nets, and evaluations of all nets without
// gradient. samples: the fingerprint of samples.h5.
struct SamplingCost {
  std::optional<std::int64_t> gradients;
  std::int64_t evaluations = 0;
};
// T K by chains; K for one level.
SamplingCost chain_cost(std::optional<std::int64_t> num_levels, const nlohmann::json& samples);

struct EvaluateInputs : ScoreInputs {
  std::filesystem::path samples;              // samples.h5 of `sample`
  const prior::EnergyPrior* prior = nullptr;  // for by_level and temperatures
  prior::LangevinOptions langevin;
  nlohmann::json training = {};  // fingerprint of the prior's file
  // Of its prior.kind: the key and, where it is not the method's, the title of its row.
  std::string kind{results::kOwn}, title{};
  bool learns_by_chains = true;
  SamplingCost (*sampling_cost)(
      std::optional<std::int64_t> num_levels, const nlohmann::json& samples_fingerprint) = chain_cost;
};

// Collective; the result is rank 0's.
results::Summary evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, const Crew& crew,
    const std::filesystem::path& picture_directory);

// samples.h5 of `sample`, read back. From outside: Error(kCorrupt) naming the file where it is not
// what `sample` writes.
struct StoredSamples {
  std::int64_t count = 0;
  double seconds_per_image = 0;  // of chains and decoding, the slowest rank's
  nlohmann::json fingerprint;    // an object: what the images depend on
  std::string images_hash;       // of the pixels; "" in files from before it was there
};
StoredSamples read_stored_samples(const std::filesystem::path& file);

// Images first .. first + count - 1 of this shape, starting with earlier ones beyond the end (the
// padding of a last chunk). Error(kUsage): fewer than count images.
ImageBatch read_sample_images(
    const std::filesystem::path& file, const ImageShape& shape, std::int64_t first, std::int64_t count);

// Gradients of all nets at one image, in training: updates x batch x (K of a chain, none for nce, +
// one for each half of the loss), T times that in an update on the reverse chain. fingerprint: that
// of the prior's file, whose values are text; without the settings (an imported prior) nothing.
std::optional<std::int64_t> training_gradients(bool by_chains, const nlohmann::json& fingerprint);
// K of its chains, and so.
std::optional<std::int64_t> training_steps(const nlohmann::json& fingerprint);

// A row of the table.
struct PriorSamples {
  std::string name;            // "Joint EBM, s^2 = 0.02"
  std::filesystem::path file;  // samples.h5
  results::PriorAbout about;
};
// Collective; the result is rank 0's: the Gaussian prior, reconstructions, posterior draws, then
// `samples` in their order.
results::Priors evaluate_priors(const EvaluateOptions& options, const ScoreInputs& inputs,
    const std::vector<PriorSamples>& samples, const Crew& crew);

// Scores of sets of images: all against the same training images and posterior draws, each of
// evaluate.num_images images; computed on the host. The training images' features of KID, precision
// and recall are of the first of them, those of posterior draws of others (posterior.h).
class Scorer {
 public:
  // Looks at all training images. References must outlive this object. Collective, as are all
  // methods but images() and posterior(). Error(kUsage) where the data set has fewer training or
  // test images than a row.
  Scorer(const EvaluateOptions& options, const ScoreInputs& inputs, const Crew& crew);

  FeatureRows collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) const;
  FeatureRows gaussian() const;        // images of the Gaussian prior
  FeatureRows reconstruction() const;  // of test images
  FeatureRows posterior_draws() const;
  // Of `sample`: its seconds are those of drawing.
  FeatureRows stored(const std::filesystem::path& samples, const std::string& what) const;

  double distance(const FeatureRows& rows) const;                            // fd_fmnist
  double posterior_distance(const FeatureRows& rows, std::int64_t n) const;  // fd_posterior of n images
  results::Scores scores(const FeatureRows& rows) const;                     // rows are kept ones
  at::Tensor images(const at::Tensor& u) const { return in_.backbone.mean_image(in_.backbone.decode(u)); }
  // One posterior draw u_0 of images of a split.
  vae::Posterior posterior(data::Split split, std::int64_t first, std::int64_t count) const;
 protected:
  const EvaluateOptions& options_;
  ScoreInputs in_;
  Crew crew_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::uint64_t seed_;
  at::Device device_;
 private:
  FeatureRows decoded(const PosteriorDraws& draws, const std::string& what) const;
  const FeatureRows& reference(std::int64_t n) const;  // that n images are compared with
  FeatureRows real_;
  mutable std::map<std::int64_t, FeatureRows> references_;  // by n, made when asked for
};

}  // namespace hebm::evaluate
