#include "prior/potential.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include "base/error.h"

namespace hebm::prior {

constexpr std::int64_t kNetsAThread = 2;  // at least so many, for threads to have whole nets: fewer leave some idle

Potential::Potential(const EnergyPrior& prior, const vae::Backbone& backbone,
    const std::vector<EnergyNet::Weights>& weights, const Chains& chains, const LabelPart& labels)
    : prior_(prior),
      backbone_(backbone),
      weights_(weights),
      first_bucket_(prior.first_bucket(chains.levels())),
      labels_(labels) {
  const auto& levels = chains.levels();
  labelled_ = !prior.heads().empty() && std::find(levels.begin(), levels.end(), 0) != levels.end();
  if (labelled_) {
    check(labels.step_variance > 0, ExitCode::kRuntime, "a prior with label heads needs s_0^2 at t = 0, got {}",
        labels.step_variance);
    at_zero_ = chains.t().eq(0).to(prior.net(0, 0).params().dtype());
  }
  for (std::size_t i = 0; i < prior.num_layers(); ++i) {  // bucket: set of nets * layers + layer
    biases_.push_back(prior.bucket(first_bucket_ + i).select(weights[first_bucket_ + i], chains.t()));
  }
}

EnergyNet::Outputs Potential::outputs(std::size_t layer, const at::Tensor& z) const {
  const std::size_t bucket = first_bucket_ + layer;
  return prior_.bucket(bucket).outputs(weights_[bucket], biases_[layer], z);
}

at::Tensor Potential::gradient(const at::Tensor& u) const {
  const c10::AutoGradMode grad_on(true);
  const at::Tensor leaf = u.detach().requires_grad_(true);
  const nets::Precision precision = weights_[first_bucket_].precision;
  const nets::GpuPrecision lower(precision, leaf.device());
  const std::vector<at::Tensor> z = backbone_.transport(leaf, precision);
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
      const std::size_t bucket = first_bucket_ + i;
      if (const auto& net = weights_[bucket].chain) {
        out[i] = net->input_gradient(biases_[i], z[i]);
        continue;
      }
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

at::Tensor contrastive_loss(const at::Tensor& positive, const at::Tensor& negative, const at::Tensor& weight, double l2,
    std::int64_t global_batch) {
  at::Tensor loss = (weight * (negative - positive)).sum();
  if (l2 > 0.0) loss = loss + l2 * (weight * (positive.square() + negative.square())).sum();
  return loss / static_cast<double>(global_batch);
}

// ---- an update's weights. steady(), the default: one frozen set; with
// energy.power_iterations_in_chain a power iteration at every forward.

void UpdateWeights::begin(std::int64_t chain_steps) {
  if (steady()) {
    frozen_ = prior_.frozen_weights(of_chains_);
    return;
  }
  moving_.clear();
  for (std::size_t b = 0; b < prior_.num_buckets(); ++b) moving_.push_back(prior_.bucket(b).iterated(chain_steps, 2));
}

Gradient UpdateWeights::gradient(const vae::Backbone& backbone, const Chains& chains, const LabelPart& labels) const {
  if (steady()) {
    const auto potential = std::make_shared<Potential>(prior_, backbone, frozen_, chains, labels);
    return [potential](const at::Tensor& u) { return potential->gradient(u); };
  }
  return [this, &backbone, &chains, labels, step = std::size_t{0}](const at::Tensor& u) mutable {
    std::vector<EnergyNet::Weights> weights;
    for (std::size_t b = 0; b < moving_.size(); ++b)
      weights.push_back(prior_.bucket(b).weights(false, moving_[b].at(step), of_chains_));
    ++step;
    return Potential(prior_, backbone, weights, chains, labels).gradient(u);
  };
}

EnergyNet::Outputs UpdateWeights::outputs(std::size_t bucket, const at::Tensor& z, const at::Tensor& t) const {
  const EnergyNet& net = prior_.bucket(bucket);
  const auto of = [&](const EnergyNet::Weights& weights, const at::Tensor& rows, const at::Tensor& levels) {
    return net.outputs(weights, net.select(weights, levels), rows);
  };
  if (steady()) {
    EnergyNet::Weights weights = net.weights(true);
    weights.frozen = frozen_[bucket].frozen;  // the same values
    return of(weights, z, t);
  }
  const auto zs = z.chunk(2), ts = t.chunk(2);
  const auto& moving = moving_[bucket];
  const auto positive = of(net.weights(true, moving[moving.size() - 2]), zs[0], ts[0]);
  const auto negative = of(net.weights(true, moving.back()), zs[1], ts[1]);
  return {at::cat({positive.f, negative.f}),
      positive.labels.defined() ? at::cat({positive.labels, negative.labels}) : at::Tensor()};
}

void UpdateWeights::end(std::size_t bucket) const {
  if (steady()) {
    prior_.bucket(bucket).power_iterate(energy_.power_iterations);
  } else {
    prior_.bucket(bucket).adopt(moving_[bucket].back());
  }
}

}  // namespace hebm::prior
