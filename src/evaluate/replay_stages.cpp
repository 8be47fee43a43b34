#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include "base/error.h"
#include "evaluate/replay.h"
#include "nets/device.h"

namespace hebm::evaluate {
namespace {

using Named = std::vector<nets::NamedTensor>;

void add_layers(Named& out, const std::string& name, const std::vector<at::Tensor>& layers) {
  for (std::size_t i = 0; i < layers.size(); ++i) out.push_back({fmt::format("{}/{}", name, i), layers[i]});
}

void add_schedule(Named& out, const prior::Schedule& schedule) {
  const auto add = [&](const char* name, const std::vector<double>& values) {
    out.push_back({std::string("schedule/") + name, at::tensor(values, at::kDouble)});
  };
  std::vector<double> kernel_weight = {1.0};  // entry t + 1 is the one of t
  for (std::int64_t t = 0; t < schedule.num_levels; ++t) kernel_weight.push_back(schedule.kernel_weight(t));
  add("a_s", schedule.alpha);
  add("sigmas", schedule.sigma);
  add("a_s_cum", schedule.alpha_cum);
  add("sigmas_cum", schedule.sigma_cum);
  add("is_recovery", kernel_weight);
}

prior::LangevinOptions paper_rule(double eta) {
  prior::LangevinOptions out;
  out.step_rule = prior::StepRule::kPaper;
  out.integrator = prior::Integrator::kPaper;
  out.eta = eta;
  return out;
}

at::Tensor run_chain(const ReplayInputs& inputs, const prior::Potential& potential,
    const std::vector<prior::StepCoefficients>& coefficients) {
  at::Tensor y = inputs.u;
  for (const auto& noise : inputs.langevin_noise) {
    y = prior::langevin_step(y, inputs.u, potential.gradient(y), noise, coefficients, inputs.t);
  }
  return y;
}

// The loss summed over layers; gradients are added under their names.
at::Tensor learn(const ReplayInputs& inputs, prior::EnergyPrior& prior, const std::vector<double>& level_weights,
    const std::vector<at::Tensor>& positive, const std::vector<at::Tensor>& negative, Named& gradients) {
  const at::Device device = positive[0].device();
  const at::Tensor t = nets::on_device(inputs.t, device);
  std::vector<double> of_row;
  for (const auto level : inputs.t) of_row.push_back(level_weights[static_cast<std::size_t>(level)]);
  const at::Tensor weight = nets::on_device(of_row, device).to(positive[0].scalar_type());
  at::Tensor total;
  for (std::size_t i = 0; i < positive.size(); ++i) {
    prior::EnergyNet& net = prior.bucket(i);
    net.params().zero_grad();
    const c10::AutoGradMode grad_on(true);
    const auto live = net.weights(true);
    const auto biases = net.select(live, t);
    const at::Tensor loss = prior::contrastive_loss(net.forward(live, biases, positive[i]),
        net.forward(live, biases, negative[i]), weight, 0.0, static_cast<std::int64_t>(inputs.t.size()));
    torch::autograd::backward({loss}, {});
    total = total.defined() ? total + loss.detach() : loss.detach();
    for (const auto& g : net.params().views_of(net.params().grad(), fmt::format("grad/netE{}/", i)))
      gradients.push_back({g.name, g.tensor.clone()});
  }
  return total;
}

}  // namespace

std::vector<nets::NamedTensor> run_stages(
    const ReplayInputs& inputs, const vae::Backbone& backbone, prior::EnergyPrior& prior, double eta) {
  check(!prior.per_level(), ExitCode::kUsage,
      "replay: this prior has nets of their own for every t (energy.per_level); a case has one net a layer");
  const c10::NoGradGuard no_grad;
  const auto& groups = backbone.groups();
  const auto langevin = paper_rule(eta);
  Named out;
  add_schedule(out, prior.schedule());

  const vae::Posterior posterior = backbone.posterior(inputs.x, inputs.posterior_noise);
  add_layers(out, "posterior_z", posterior.z);
  add_layers(out, "u0", vae::split_layers(posterior.u, groups));

  const auto positive = backbone.transport(inputs.u);
  add_layers(out, "z_of_u", positive);
  out.push_back({"logits_of_u", backbone.decode(inputs.u)});

  const auto weights = prior.frozen_weights();
  const prior::Chains chains(
      prior::chain_ids(0, 0, static_cast<std::int64_t>(inputs.t.size())), inputs.t, inputs.u.device());
  const prior::Potential potential(prior, backbone, weights, chains);
  out.push_back({"f", at::stack(potential.by_layer(inputs.u))});

  const at::Tensor y = run_chain(inputs, potential, prior::step_coefficients(prior.schedule(), langevin));
  add_layers(out, "langevin_y", vae::split_layers(y, groups));

  Named gradients;
  const auto level_weights = prior::level_weights(prior.schedule(), langevin, prior::LevelWeight::kPaper);
  out.push_back({"loss", learn(inputs, prior, level_weights, positive, backbone.transport(y), gradients)});
  out.insert(out.end(), gradients.begin(), gradients.end());
  return out;
}

}  // namespace hebm::evaluate
