#include "train/label_term.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <algorithm>
#include "base/error.h"
#include "prior/losses.h"

namespace hebm::train {

LabelTerm::LabelTerm(prior::LabelHeads heads, std::vector<std::vector<std::int64_t>> categories, double weight)
    : heads_(std::move(heads)), categories_(std::move(categories)), weight_(weight) {
  check(heads_.size() == categories_.size(), ExitCode::kRuntime, "labels: {} heads, values for {}", heads_.size(),
      categories_.size());
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    const auto bound = static_cast<std::int64_t>(heads_[h].categories.size());
    const auto outside =
        std::find_if(categories_[h].begin(), categories_[h].end(), [&](std::int64_t y) { return y < 0 || y >= bound; });
    check(outside == categories_[h].end(), ExitCode::kRuntime, "labels: '{}' has {} categories, an image has number {}",
        heads_[h].name, bound, outside == categories_[h].end() ? 0 : *outside);
  }
}

at::Tensor LabelTerm::of_images(const std::vector<std::uint32_t>& images) const {
  const at::Tensor out =
      at::empty({static_cast<std::int64_t>(images.size()), static_cast<std::int64_t>(heads_.size())}, at::kLong);
  auto* values = out.mutable_data_ptr<std::int64_t>();
  for (const auto image : images) {
    for (const auto& of_head : categories_) *values++ = of_head.at(image);
  }
  return out;
}

std::vector<LabelTerm::Head> LabelTerm::losses(const std::vector<at::Tensor>& outputs, const at::Tensor& category,
    const at::Tensor& row_weight, double s2, std::int64_t global_batch) const {
  std::vector<Head> out;
  const std::int64_t count = category.size(0);
  const auto values = prior::head_values(heads_, outputs);
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    const at::Tensor y = category.select(1, static_cast<std::int64_t>(h));
    const at::Tensor marginal = prior::marginal_value(values[h], s2);  // [2 B]
    const at::Tensor positive = marginal.narrow(0, 0, count), negative = marginal.narrow(0, count, count);
    const at::Tensor of_data = values[h].narrow(0, 0, count), entropy = prior::cross_entropy(of_data, s2, y);
    const at::Tensor label_loss = (row_weight * entropy).sum() * (weight_ * s2 / static_cast<double>(global_batch));
    out.push_back({prior::contrastive_loss(positive, negative, row_weight, 0.0, global_batch) + label_loss,
        positive.detach() / s2, negative.detach() / s2, entropy.detach(), of_data.detach().argmax(1).eq(y)});
  }
  return out;
}

}  // namespace hebm::train
