#include "prior/potential.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <map>
#include "base/error.h"
#include "base/visits.h"

namespace hebm::prior {

constexpr std::int64_t kNetsAThread = 2;  // at least so many, for threads to have whole nets: fewer leave some idle

Potential::Potential(const EnergyPrior& prior, const vae::Backbone& backbone,
    const std::vector<EnergyNet::Weights>& weights, const Chains& chains, const LabelPart& labels)
    : prior_(prior), backbone_(backbone), weights_(weights), set_(prior.set_of(chains.levels())), labels_(labels) {
  const auto& levels = chains.levels();
  labelled_ = !prior.heads().empty() && std::find(levels.begin(), levels.end(), 0) != levels.end();
  if (labelled_) {
    check(labels.step_variance > 0, ExitCode::kRuntime, "a prior with label heads needs s_0^2 at t = 0, got {}",
        labels.step_variance);
    at_zero_ = chains.t().eq(0).to(prior.net(0, 0).params().dtype());
  }
  for (std::size_t i = 0; i < prior.num_layers(); ++i) {
    biases_.push_back(prior.net(set_, i).select(weights[set_ * prior.num_layers() + i], chains.t()));
  }
}

EnergyNet::Outputs Potential::outputs(std::size_t layer, const at::Tensor& z) const {
  return prior_.net(set_, layer).outputs(weights_[set_ * prior_.num_layers() + layer], biases_[layer], z);
}

at::Tensor Potential::of_layer(const at::Tensor& u, std::size_t layer) const {
  return outputs(layer, backbone_.transport(u)[layer]).f;
}

std::vector<at::Tensor> Potential::by_layer(const at::Tensor& u) const {
  const std::vector<at::Tensor> z = backbone_.transport(u);
  std::vector<at::Tensor> f;
  for (std::size_t i = 0; i < z.size(); ++i) f.push_back(outputs(i, z[i]).f);
  return f;
}

std::vector<at::Tensor> Potential::label_outputs(const at::Tensor& u) const {
  const std::vector<at::Tensor> z = backbone_.transport(u);
  std::vector<at::Tensor> g;
  for (std::size_t i = 0; i < z.size(); ++i) g.push_back(outputs(i, z[i]).labels);
  return g;
}

at::Tensor Potential::value(const at::Tensor& u) const { return value_of(backbone_.transport(u)); }

at::Tensor Potential::value_of(const std::vector<at::Tensor>& z) const {
  at::Tensor total;
  std::vector<at::Tensor> g;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const auto out = outputs(i, z[i]);
    total = total.defined() ? total + out.f : out.f;
    g.push_back(out.labels);
  }
  if (!labelled_) return total;
  const auto values = head_values(prior_.heads(), g);
  const auto& [s2, choice] = labels_;
  for (std::size_t h = 0; h < values.size(); ++h) {
    const at::Tensor term =
        choice == nullptr
            ? marginal_value(values[h], s2)
            : guided_value(values[h], s2, choice->category.select(1, static_cast<std::int64_t>(h)), choice->guidance);
    total = total + at_zero_ * term;
  }
  return total;
}

at::Tensor Potential::gradient(const at::Tensor& u) const {
  const c10::AutoGradMode grad_on(true);
  const at::Tensor leaf = u.detach().requires_grad_(true);
  const std::vector<at::Tensor> z = backbone_.transport(leaf);
  if (labelled_)  // the heads couple layers: one graph
    return torch::autograd::grad({value_of(z).sum()}, {leaf})[0].contiguous();
  return torch::autograd::grad(z, {leaf}, layer_gradients(z))[0].contiguous();
}

// d f_i / d z_i, layer by layer: the nets meet in the backbone alone. Many nets are shared by the
// threads, each of them whole: small convolutions split badly.
std::vector<at::Tensor> Potential::layer_gradients(const std::vector<at::Tensor>& z) const {
  std::vector<at::Tensor> out(z.size());
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    const c10::AutoGradMode grad_on(true);
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const at::Tensor leaf = z[i].detach().requires_grad_(true);
      out[i] = torch::autograd::grad({outputs(i, leaf).f.sum()}, {leaf})[0];
    }
  };
  const auto count = static_cast<std::int64_t>(z.size());
  if (z[0].is_cpu() && count >= kNetsAThread * at::get_num_threads()) {
    at::parallel_for(0, count, 1, work);
  } else {
    work(0, count);
  }
  return out;
}

}  // namespace hebm::prior
