#include "evaluate/experiment.h"
#include "base/error.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {

std::vector<std::int64_t> split_members(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count) {
  const auto& members = dataset.members(split);
  const auto size = static_cast<std::int64_t>(members.size());
  check(size > 0, ExitCode::kUsage, "{}: the data set has no {} images", dataset.path().string(),
      split == data::Split::kTrain ? "training" : "test");
  std::vector<std::int64_t> out;
  for (std::int64_t b = first; b < first + count; ++b) out.push_back(members[static_cast<std::size_t>(b % size)]);
  return out;
}

at::Tensor split_images(
    const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count, at::Device device) {
  return vae::image_tensor(dataset.read(split_members(dataset, split, first, count))).to(device);
}

Seen see(const ExperimentInputs& inputs, const at::Tensor& u0) {
  const at::Tensor x = inputs.backbone.mean_image(inputs.backbone.decode(u0)),
                   features = inputs.features.net->features(x);
  return {x, features, inputs.features.net->logits_of_features(features).argmax(1)};
}

results::Classifier classifier(const nets::LoadedFeatureNet& features) { return {features.accuracy, features.hash}; }

void write_grid(const std::filesystem::path& file, const at::Tensor& images, std::int64_t columns) {
  std::filesystem::create_directories(file.parent_path());
  storage::write_png_grid(file, vae::image_batch(images), columns);
}

}  // namespace hebm::evaluate
