// Scores of priors and reconstructions on one data set: fd_fmnist (Frechet distance of the
// classifier's features, float64), KID, precision and recall, gap closed, the score by level; and
// the priors on one backbone beside each other, as in the paper's Table 1 (`evaluate --all`).
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include "base/types.h"
#include "evaluate/experiment.h"
#include "evaluate/features.h"
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

struct EvaluateInputs : ScoreInputs {
  std::filesystem::path samples;              // samples.h5 of `sample`
  const prior::EnergyPrior* prior = nullptr;  // for by_level and temperatures
  prior::LangevinOptions langevin;
};

// Collective; the result is rank 0's.
results::Summary evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm,
    Logger& logger, const std::filesystem::path& picture_directory);

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

// What one image costs in sampling: gradients of all nets, and evaluations of all nets without
// gradient. samples: the fingerprint of samples.h5.
struct SamplingCost {
  std::optional<std::int64_t> gradients;
  std::int64_t evaluations = 0;
};
// T K by chains; K for one level.
SamplingCost chain_cost(std::optional<std::int64_t> num_levels, const nlohmann::json& samples);

// A row of the table.
struct PriorSamples {
  std::string name;            // "Joint EBM, s^2 = 0.02"
  std::filesystem::path file;  // samples.h5
  results::PriorAbout about;
};
// Collective; the result is rank 0's: the Gaussian prior, reconstructions, then `samples` in their
// order.
results::Priors evaluate_priors(const EvaluateOptions& options, const ScoreInputs& inputs,
    const std::vector<PriorSamples>& samples, comm::Communicator& comm, Logger& logger);

// Scores of sets of images: all against the same training images, each of evaluate.num_images
// images; computed on the host.
class Scorer {
 public:
  // Looks at all training images. References must outlive this object. Collective, as are all
  // methods but images() and posterior(). Error(kUsage) where the data set has fewer training or
  // test images than a row.
  Scorer(const EvaluateOptions& options, const ScoreInputs& inputs, comm::Communicator& comm, Logger& logger);

  FeatureRows collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) const;
  FeatureRows gaussian() const;        // images of the Gaussian prior
  FeatureRows reconstruction() const;  // of test images
  // Of `sample`: its seconds are those of drawing.
  FeatureRows stored(const std::filesystem::path& samples, const std::string& what) const;

  double distance(const FeatureRows& rows) const;         // fd_fmnist
  results::Scores scores(const FeatureRows& rows) const;  // rows are kept ones
  at::Tensor images(const at::Tensor& u) const { return in_.backbone.mean_image(in_.backbone.decode(u)); }
  // One posterior draw u_0 of images of a split.
  vae::Posterior posterior(data::Split split, std::int64_t first, std::int64_t count) const;
 protected:
  const EvaluateOptions& options_;
  ScoreInputs in_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::uint64_t seed_;
  at::Device device_;
 private:
  FeatureRows real_;
};

}  // namespace hebm::evaluate
