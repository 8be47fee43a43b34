// The small classifier whose 128 penultimate activations are the features of fd_fmnist (never
// "FID"): three times conv3x3, ReLU, max-pool 2; a hidden layer of 128; class logits. Trained here
// with a fixed seed; its hash is in every score.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "base/types.h"
#include "nets/layers.h"

namespace hebm::nets {

inline constexpr const char* kFeaturesFormat = "hebm-features";
inline constexpr const char* kFeaturesVersion = "1";

class FeatureNet {
 public:
  static constexpr std::int64_t kFeatures = 128;

  // Side a multiple of 8, at most 512; channels 1..4; classes 2..1000: else Error(kUsage).
  // max_values: see Parameters.
  FeatureNet(const ImageShape& image, std::int64_t num_classes, std::uint64_t seed,
      std::int64_t max_values = std::numeric_limits<std::int64_t>::max());

  // x [B, C, H, W] in [0, 1].
  at::Tensor features(const at::Tensor& x) const;  // [B, 128], >= 0
  at::Tensor logits(const at::Tensor& x) const;    // [B, classes]
  at::Tensor logits_of_features(const at::Tensor& features) const;

  Parameters& params() { return params_; }
  const Parameters& params() const { return params_; }
  const ImageShape& image_shape() const { return image_; }
  std::int64_t num_classes() const { return num_classes_; }
  std::string architecture() const;  // JSON
  std::string hash() const;          // xxh3-128 of architecture and weights
 private:
  ImageShape image_;
  std::int64_t num_classes_;
  Parameters params_;
  std::vector<Conv> convs_;
  Linear hidden_, out_;
};

// Metadata: format, version, architecture, identity, accuracy, hash. Published whole or not at all.
void save_feature_net(
    const std::filesystem::path& path, const FeatureNet& net, double accuracy, const nlohmann::json& identity);

struct LoadedFeatureNet {
  std::unique_ptr<FeatureNet> net;
  std::string hash;
  double accuracy = 0;         // on the test images it was measured with
  std::filesystem::path file;  // empty: made in memory
};
// All is checked before use, the hash included: Error(kCorrupt) naming the file.
LoadedFeatureNet load_feature_net(const std::filesystem::path& path);

}  // namespace hebm::nets
