#include "train/coupling.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include "base/error.h"

namespace hebm::train {

CouplingObjective::CouplingObjective(
    const PriorTrainOptions& options, const PriorInputs& in, const TrainingRun& run, const LabelTerm& labels)
    : DiffusionObjective(options, in, run, labels.heads().size()), labels_(labels) {
  check(in.prior.heads() == labels.heads(), ExitCode::kRuntime,
      "prior training: the prior's label heads and the labels do not belong together");
}

void CouplingObjective::descend(const Contrast& contrast, GradientSum& gradients) {
  if (!contrast.has_zero) return DiffusionObjective::descend(contrast, gradients);
  const c10::AutoGradMode grad_on(true);
  at::Tensor loss;
  std::vector<at::Tensor> outputs;  // g of the label heads, by layer
  for (std::size_t i = 0; i < contrast.z.size(); ++i) {
    const LayerLoss layer = layer_loss(contrast, i);
    loss = loss.defined() ? loss + layer.loss : layer.loss;
    outputs.push_back(layer.labels);
  }
  const at::Tensor at_zero = contrast.t.eq(0), category = labels_.of_images(contrast.images).to(at_zero.device());
  const auto heads = labels_.losses(outputs, category, contrast.weights * at_zero, step_variances_[0], settings_.batch);
  for (const auto& head : heads) loss = loss + head.loss;
  torch::autograd::backward({loss}, {});
  for (std::size_t i = 0; i < contrast.z.size(); ++i) gradients.backward_done(contrast.first_bucket + i);
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
