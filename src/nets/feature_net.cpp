#include "nets/feature_net.h"
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <fmt/format.h>
#include "base/error.h"
#include "base/visits.h"
#include "nets/tensor_io.h"
#include "storage/json.h"

namespace hebm::nets {
namespace {

constexpr std::int64_t kWidths[] = {16, 32, 64};
constexpr std::int64_t kMaxSide = 512, kMaxChannels = 4, kMaxClasses = 1000;
constexpr double kReluGain =
    2.449489742783178;  // sqrt(6): U(+-gain / sqrt(fan_in)) keeps the variance through a ReLU (He et al. 2015)

}  // namespace

FeatureNet::FeatureNet(const ImageShape& image, std::int64_t num_classes, std::uint64_t seed, std::int64_t max_values)
    : image_(image), num_classes_(num_classes), params_(seed, visits::kFeatureNet, at::kFloat, at::kCPU, max_values) {
  check(image.height == image.width && image.height >= 8 && image.height <= kMaxSide && image.height % 8 == 0 &&
            image.channels >= 1 && image.channels <= kMaxChannels,
      ExitCode::kUsage,
      "the feature net takes square images with a side that is a multiple of 8, up to {}, of 1 to {} channels; got "
      "{} x {} x {}",
      kMaxSide, kMaxChannels, image.channels, image.height, image.width);
  check(num_classes >= 2 && num_classes <= kMaxClasses, ExitCode::kUsage,
      "the feature net takes 2 to {} classes, got {}", kMaxClasses, num_classes);
  std::int64_t channels = image.channels;
  for (const std::int64_t width : kWidths) {
    convs_.push_back(make_conv(params_, fmt::format("conv{}", convs_.size()), channels, width, 3, 1, kReluGain));
    channels = width;
  }
  const std::int64_t side = image.height / 8;
  hidden_ = make_linear(params_, "hidden", channels * side * side, kFeatures, kReluGain);
  out_ = make_linear(params_, "out", kFeatures, num_classes);
  params_.flatten();
}

at::Tensor FeatureNet::features(const at::Tensor& x) const {
  at::Tensor h = x;
  for (const Conv& conv : convs_) h = at::max_pool2d(at::relu(conv(h)), {2, 2});
  return at::relu(hidden_(h.flatten(1)));
}

at::Tensor FeatureNet::logits_of_features(const at::Tensor& features) const { return out_(features); }

at::Tensor FeatureNet::logits(const at::Tensor& x) const { return out_(features(x)); }

std::string FeatureNet::architecture() const {
  return nlohmann::json{
      {"net", "features"}, {"channels", image_.channels}, {"side", image_.height}, {"classes", num_classes_}}
      .dump();
}

std::string FeatureNet::hash() const { return hash_weights(architecture(), params_.parameters()); }

void save_feature_net(
    const std::filesystem::path& path, const FeatureNet& net, double accuracy, const nlohmann::json& identity) {
  publish_tensors(path, net.params().parameters(),
      {{"format", kFeaturesFormat}, {"version", kFeaturesVersion}, {"architecture", net.architecture()},
          {"identity", storage::json_text(identity)}, {"accuracy", fmt::format("{}", accuracy)}, {"hash", net.hash()}});
}

LoadedFeatureNet load_feature_net(const std::filesystem::path& path) {
  const storage::SafetensorsFile file(path);
  check_format(file, kFeaturesFormat, kFeaturesVersion);
  const nlohmann::json shape = metadata_json(file, "architecture");
  LoadedFeatureNet out;
  out.file = path;
  try {
    const auto side = integer_field(shape, "side", kMaxSide);
    out.net = std::make_unique<FeatureNet>(ImageShape{integer_field(shape, "channels", kMaxChannels), side, side},
        integer_field(shape, "classes", kMaxClasses), 0, num_values(file));
  } catch (const Error& e) {
    fail(ExitCode::kCorrupt, "{}: architecture: {}", path.string(), e.what());
  }
  load_tensors(file, out.net->params().parameters());
  out.hash = metadata_text(file, "hash");
  check(out.hash == out.net->hash(), ExitCode::kCorrupt,
      "{}: the weights have hash {}, expected {}: the file is damaged; run train-features again", path.string(),
      out.net->hash(), out.hash);
  const auto accuracy = storage::lenient_json(metadata_text(file, "accuracy"));
  check(accuracy.is_number() && accuracy.get<double>() >= 0.0 && accuracy.get<double>() <= 1.0, ExitCode::kCorrupt,
      "{}: metadata 'accuracy' is '{}', expected a number from 0 to 1", path.string(),
      metadata_text(file, "accuracy").substr(0, 40));
  out.accuracy = accuracy.get<double>();
  return out;
}

}  // namespace hebm::nets
