// Scores of sets of images on one data set: all against the same training images, each of
// evaluate.num_images images.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "evaluate/evaluate.h"
#include "evaluate/feature_rows.h"
#include "evaluate/measure.h"
#include "nets/feature_net.h"
#include "vae/backbone.h"

namespace hebm::evaluate {

class Scorer {
 public:
  // Looks at all training images. References must outlive this object; backbone and classifier are
  // on one device. Collective, as are all methods but posterior(). Error(kUsage) where the data set
  // has fewer training or test images than a row.
  Scorer(const EvaluateOptions& options, const data::Dataset& dataset, const vae::Backbone& backbone,
      const nets::LoadedFeatureNet& features, comm::Communicator& comm, Logger& logger);

  FeatureRows collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what);
  FeatureRows gaussian();                                                             // images of the Gaussian prior
  FeatureRows reconstruction();                                                       // of test images
  FeatureRows stored(const std::filesystem::path& samples, const std::string& what);  // of `sample`
  FeatureRows test_images();                                                          // all of them, not kept

  double distance(const FeatureRows& rows) const;         // fd_fmnist
  results::Scores scores(const FeatureRows& rows) const;  // rows are kept ones
  // One posterior draw u_0 of images of a split.
  vae::Posterior posterior(data::Split split, std::int64_t first, std::int64_t count) const;
 private:
  const EvaluateOptions& options_;
  const data::Dataset& dataset_;
  const vae::Backbone& backbone_;
  const nets::LoadedFeatureNet& features_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::uint64_t seed_;
  at::Device device_;
  FeatureRows real_;
};

}  // namespace hebm::evaluate
