#include "cli/bench_net.h"
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>
#include <sys/resource.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "base/status.h"
#include "prior/potential.h"

namespace hebm::cli {

void wait_for(const at::Tensor& values) {
  if (!values.is_cpu()) values.flatten()[0].item();
}

namespace {

constexpr int kRepetitions = 5;

// Best of kRepetitions of both, steps and large products of this type, in turn: on a machine that
// others use the least disturbed times say what the program does.
struct Rates {
  double step_s = 0, gemm_gflop_s = 0;
};
Rates measure(at::Device device, at::ScalarType type, const std::function<void(std::int64_t)>& steps) {
  constexpr double kRepetitionSeconds = 1.0;  // aimed at
  constexpr std::int64_t kMaxSteps = 20;
  constexpr std::int64_t kSide = 1024, kGpuSide = 8192;
  const std::int64_t side = device.is_cpu() ? kSide : kGpuSide;
  const at::Tensor a = at::empty({side, side}, at::TensorOptions(type).device(device)).fill_(0.5), b = a.clone();
  const auto product = [&] { wait_for(at::matmul(a, b)); };
  product();
  steps(1);
  const double first = seconds_of([&] { steps(1); });
  const auto count =
      std::clamp(static_cast<std::int64_t>(std::ceil(kRepetitionSeconds / first)), std::int64_t{1}, kMaxSteps);
  Rates out{first, 0};
  for (int i = 0; i < kRepetitions; ++i) {
    for (int k = 0; k < 4; ++k)
      out.gemm_gflop_s =
          std::max(out.gemm_gflop_s, 2e-9 * std::pow(static_cast<double>(side), 3) / seconds_of(product));
    out.step_s = std::min(out.step_s, seconds_of([&] { steps(count); }) / static_cast<double>(count));
  }
  return out;
}

}  // namespace

void BenchNet::describe(Options& options) {
  options.add("bench.batch", &batch, "images of a Langevin step or an update, or to draw", {1, 100000}, Show::kCommon);
  options.add("batch", &batch, "the same", {1, 100000}, Show::kCommon);
  options.add("random-weights", &random_weights, "weights are random in any case", Show::kCommon);
  schedule.describe(options);
  vae.describe(options);
  energy.describe(options);
  langevin.describe(options);
}

std::unique_ptr<vae::Backbone> BenchNet::backbone(at::Device device, bool frozen) const {
  check(random_weights, ExitCode::kUsage,
      "bench langevin, draw, update and vae have random weights alone; leave --random-weights out or set it");
  auto out = vae::make_backbone(vae, vae.chosen().planned_shape().value_or(ImageShape{}), 0);
  out->freeze(frozen);
  out->params().to(device);
  return out;
}

nlohmann::json about(const vae::Backbone& backbone, at::Device device) {
  rusage usage{};
  check(getrusage(RUSAGE_SELF, &usage) == 0, ExitCode::kRuntime, "getrusage failed");
  return {{"device", device.is_cpu() ? "cpu" : "cuda"}, {"threads", at::get_num_threads()},
      {"vae_parameters", backbone.params().size()}, {"latents", backbone.dim()},
      {"peak_memory_gb", 1024.0 * static_cast<double>(usage.ru_maxrss) / 1e9}};
}

nlohmann::json bench_langevin(const BenchNet& net, at::Device device) {
  const auto backbone = net.backbone(device);
  prior::EnergyPrior prior(net.energy, backbone->groups(), net.schedule.make(), 0);
  prior.to(device);
  const auto coefficients = prior::step_coefficients(prior.schedule(), net.langevin);
  nets::require_precision(net.langevin.precision, device);
  const auto weights = prior.frozen_weights(net.langevin.precision);
  const prior::Chains chains(prior::chain_ids(0, 0, net.batch), 0, device);
  const at::Tensor u = chains.normals(Purpose::kPriorNoise, backbone->dim());
  const prior::Potential potential(prior, *backbone, weights, chains);
  const at::ScalarType type = device.is_cpu() ? nets::type_of_products(net.langevin.precision) : at::kFloat;
  Rates rates = measure(device, type, [&](std::int64_t steps) {
    wait_for(prior::langevin(
        chains, u, [&](const at::Tensor& y) { return potential.gradient(y); }, coefficients, steps));
  });
  const std::string in_precision = type == at::kFloat ? "gemm_gflop_s" : "gemm_bfloat16_gflop_s";
  if (type == at::kFloat) rates.gemm_gflop_s = std::max(rates.gemm_gflop_s, net.product_rate);
  double flop = backbone->transport_flop();
  for (std::size_t i = 0; i < backbone->groups().size(); ++i) flop += prior.net(0, i).forward_flop();
  flop *= 2.0;  // forward, and backward to u alone
  const double per_image = rates.step_s / static_cast<double>(net.batch), rate = flop / per_image / 1e9;
  auto out = about(*backbone, device);
  out.update({{"s_per_step", rates.step_s}, {"ms_per_step_image", per_image * 1e3}, {"gflop_s", rate},
      {"mflop_per_step_image", flop / 1e6}, {in_precision, rates.gemm_gflop_s}, {"batch", net.batch},
      {"ratio", rate / rates.gemm_gflop_s}, {"energy_parameters", prior.num_parameters()}});
  return out;
}

nlohmann::json bench_draw(const BenchNet& net, at::Device device) {
  const Timer building;
  const auto backbone = net.backbone(device);
  const double build_s = building.seconds();
  const c10::NoGradGuard no_grad;
  const Timer drawing;
  const at::Tensor u = prior::prior_noise(prior::chain_ids(0, 0, net.batch), backbone->dim(), device);
  const at::Tensor images = backbone->mean_image(backbone->decode(u));
  wait_for(images);
  const double draw_s = drawing.seconds();
  check(at::isfinite(images).all().item<bool>(), ExitCode::kRuntime, "bench draw: an image of the VAE is not finite");
  auto out = about(*backbone, device);
  out.update({{"build_s", build_s}, {"draw_s_per_image", draw_s / static_cast<double>(net.batch)},
      {"image", images.sizes().slice(1).vec()}});
  return out;
}

}  // namespace hebm::cli
