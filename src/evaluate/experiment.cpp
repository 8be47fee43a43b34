#include "evaluate/experiment.h"
#include <fmt/ranges.h>
#include <span>
#include "base/error.h"
#include "nets/device.h"
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

Seen see(const ScoreInputs& inputs, const at::Tensor& u0) {
  const at::Tensor x = inputs.backbone.mean_image(inputs.backbone.decode(u0)),
                   features = inputs.features.net->features(x);
  return {x, features, inputs.features.net->logits_of_features(features).argmax(1)};
}

LabelReader::LabelReader(const prior::LabelHead& head, const data::Dataset& dataset, const nets::FeatureNet& classifier)
    : column_(data::label_column(dataset, head.name)) {
  check(column_.categories == head.categories, ExitCode::kUsage,
      "{}: '{}' has the categories {}, the prior was coupled with {}", dataset.path().string(), head.name,
      fmt::join(column_.categories, ", "), fmt::join(head.categories, ", "));
  for (const auto& attribute : dataset.attributes()) {
    if (attribute.name == head.name) attribute_ = attribute;
  }
  if (attribute_.measure != data::Measure::kClass) return;
  const auto classes =
      static_cast<std::int64_t>(attribute_.name.empty() ? column_.categories.size() : attribute_.of_label.size());
  check(classifier.num_classes() == classes, ExitCode::kUsage, "the classifier tells {} classes apart, '{}' is of {}",
      classifier.num_classes(), head.name, classes);
}

at::Tensor LabelReader::read(const at::Tensor& x, const at::Tensor& classes) const {
  if (attribute_.name.empty()) return classes;
  if (attribute_.measure == data::Measure::kClass)
    return nets::on_device(attribute_.of_label, x.device()).index_select(0, classes);
  const ImageBatch images = vae::image_batch(x);
  const auto size = static_cast<std::size_t>(images.shape.size());
  std::vector<std::int64_t> out;
  for (std::size_t b = 0; b < static_cast<std::size_t>(images.count); ++b) {
    const double value =
        data::measured(attribute_.measure, images.shape, std::span(images.pixels).subspan(b * size, size));
    out.push_back(value > attribute_.threshold ? 1 : 0);
  }
  return nets::on_device(out, x.device());
}

results::Classifier classifier(const nets::LoadedFeatureNet& features) { return {features.accuracy, features.hash}; }

void write_grid(const std::filesystem::path& file, const at::Tensor& images, std::int64_t columns) {
  std::filesystem::create_directories(file.parent_path());
  storage::write_png_grid(file, vae::image_batch(images), columns);
}

}  // namespace hebm::evaluate
