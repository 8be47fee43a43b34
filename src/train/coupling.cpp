#include "train/coupling.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include "base/error.h"

namespace hebm::train {

LabelTerm::LabelTerm(prior::LabelHeads heads, std::vector<std::vector<std::int64_t>> categories, double weight)
    : heads_(std::move(heads)), categories_(std::move(categories)), weight_(weight) {
  check(heads_.size() == categories_.size(), ExitCode::kRuntime, "labels: {} heads, values for {}", heads_.size(),
      categories_.size());
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    const auto bound = static_cast<std::int64_t>(heads_[h].categories.size());
    for (const std::int64_t y : categories_[h])
      check(y >= 0 && y < bound, ExitCode::kRuntime, "labels: '{}' has {} categories, an image has number {}",
          heads_[h].name, bound, y);
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

void CouplingObjective::backward_by_layer(const Contrast& contrast, GradientSum& gradients) {
  if (!contrast.has_zero) return DiffusionObjective::backward_by_layer(contrast, gradients);
  const c10::AutoGradMode grad_on(true);
  at::Tensor loss;
  std::vector<at::Tensor> outputs;  // g of the label heads, by layer
  for (std::size_t i = 0; i < contrast.z.size(); ++i) {
    const LayerLoss layer = layer_loss(contrast, i);
    loss = loss.defined() ? loss + layer.loss : layer.loss;
    outputs.push_back(layer.labels);
  }
  const at::Tensor at_zero = contrast.t.eq(0), category = labels_.of_images(contrast.images).to(at_zero.device());
  const auto heads = labels_.losses(outputs, category, contrast.weights * at_zero, step_variances_[0], global_rows_);
  for (const auto& head : heads) loss = loss + head.loss;
  torch::autograd::backward({loss}, {});
  for (std::size_t i = 0; i < contrast.z.size() && contrast.last; ++i)
    gradients.backward_done(contrast.first_bucket + i);
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t term = kTerms + 2 * (in_.prior.num_layers() + h);
    record_.add_rows(term, heads[h].positive * at_zero);
    record_.add_rows(term + 1, heads[h].negative * at_zero);
    record_.add_rows(entropy_field(h), heads[h].cross_entropy * at_zero);
    record_.add_rows(hits_field(h), heads[h].hits * at_zero);
  }
}

std::string CouplingObjective::progress(const Report& report) const {
  std::string out = DiffusionObjective::progress(report);
  const double images = record_.at(kCount);
  for (std::size_t h = 0; h < in_.prior.heads().size() && images > 0.0; ++h)
    out += fmt::format(", {}: {:.3f}", in_.prior.heads()[h].name, record_.at(hits_field(h)) / images);
  return out;
}

storage::Scalars CouplingObjective::describe(const Report& report) const {
  storage::Scalars out = DiffusionObjective::describe(report);
  const double images = record_.at(kCount);
  for (std::size_t h = 0; h < in_.prior.heads().size() && images > 0.0; ++h) {
    const std::string& name = in_.prior.heads()[h].name;
    out.emplace_back("cross_entropy/" + name, record_.at(entropy_field(h)) / images);
    out.emplace_back("accuracy/" + name, record_.at(hits_field(h)) / images);
  }
  return out;
}

}  // namespace hebm::train
