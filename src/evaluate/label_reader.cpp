#include "evaluate/label_reader.h"
#include <fmt/ranges.h>
#include <span>
#include "base/error.h"
#include "nets/device.h"
#include "vae/inputs.h"

namespace hebm::evaluate {

LabelReader::LabelReader(const prior::LabelHead& head, const data::Dataset& dataset, const nets::FeatureNet& classifier)
    : column_(data::label_column(dataset, head.name)) {
  check(column_.categories == head.categories, ExitCode::kUsage,
      "{}: '{}' has the categories {}, the prior was coupled with {}", dataset.path().string(), head.name,
      fmt::join(column_.categories, ", "), fmt::join(head.categories, ", "));
  for (const auto& attribute : dataset.attributes()) {
    if (attribute.name == head.name) attribute_ = attribute;
  }
  if (data::is_measured(attribute_.measure)) return;
  const auto classes =
      static_cast<std::int64_t>(attribute_.name.empty() ? column_.categories.size() : attribute_.of_label.size());
  check(classifier.num_classes() == classes, ExitCode::kUsage, "the classifier tells {} classes apart, '{}' is of {}",
      classifier.num_classes(), head.name, classes);
}

at::Tensor LabelReader::read(const at::Tensor& x, const at::Tensor& classes) const {
  if (attribute_.name.empty()) return classes;
  if (!data::is_measured(attribute_.measure))
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

}  // namespace hebm::evaluate
