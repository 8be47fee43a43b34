#include "evaluate/replay.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <map>
#include "base/error.h"
#include "data/new_file.h"
#include "nets/device.h"
#include "prior/langevin_update.h"

namespace hebm::evaluate {
namespace {

using storage::H5File;
using storage::H5Type;

constexpr std::int64_t kMaxBatch = 65536;

// The largest difference allowed in each stage: float32 on a CPU.
struct Bar {
  const char* stage;
  double bar;
  bool relative;  // to the largest value; of a gradient: of its net
};
constexpr Bar kBars[] = {{"schedule", 1e-9, false}, {"posterior_z", 1e-5, true}, {"u0", 1e-5, true},
    {"z_of_u", 1e-5, true}, {"logits_of_u", 2e-5, true}, {"f", 1e-6, false}, {"langevin_y", 1e-5, false},
    {"loss", 1e-4, true}, {"grad", 5e-4, true}};

const Bar& bar_of(const std::string& dataset) {
  const std::string stage = dataset.substr(0, dataset.find('/'));
  const auto* found = std::find_if(std::begin(kBars), std::end(kBars), [&](const Bar& b) { return stage == b.stage; });
  check(found != std::end(kBars), ExitCode::kRuntime, "replay: no bar for {}", dataset);
  return *found;
}

// "grad/netE3" of a gradient, "" of everything else.
std::string net_of(const std::string& dataset) {
  return dataset.starts_with("grad/") ? dataset.substr(0, dataset.find('/', 5)) : std::string();
}

storage::H5Info info_of(const H5File& file, const std::string& name) {
  check(file.has(name), ExitCode::kCorrupt, "{}: the case has no dataset {}", file.path().string(), name);
  return file.info(name);
}

at::Tensor read_tensor(
    const H5File& file, const std::string& name, const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  const auto info = info_of(file, name);
  check(info.type == H5Type::kF32 || info.type == H5Type::kF64, ExitCode::kCorrupt,
      "{}: dataset {} has type {}, expected f32 or f64", file.path().string(), name, storage::name_of(info.type));
  const bool fits = std::equal(info.shape.begin(), info.shape.end(), shape.begin(), shape.end(),
      [](std::uint64_t a, std::int64_t b) { return a == static_cast<std::uint64_t>(b); });
  check(fits, ExitCode::kCorrupt, "{}: dataset {} has shape [{}], expected [{}]", file.path().string(), name,
      fmt::join(info.shape, ", "), fmt::join(shape, ", "));
  at::Tensor out = at::empty(shape, info.type == H5Type::kF32 ? at::kFloat : at::kDouble);
  file.read_rows(name, info.type, 0, shape.empty() ? 1 : info.shape[0],
      {static_cast<std::byte*>(out.mutable_data_ptr()), static_cast<std::size_t>(out.nbytes())});
  check(at::isfinite(out).all().item<bool>(), ExitCode::kCorrupt, "{}: dataset {} has values that are not finite",
      file.path().string(), name);
  return out.to(dtype);
}

// name/0, name/1, ... as [B, D].
at::Tensor read_layers(const H5File& file, const std::string& name, std::int64_t batch,
    const std::vector<LatentShape>& groups, at::ScalarType dtype) {
  std::vector<at::Tensor> layers;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    layers.push_back(read_tensor(
        file, fmt::format("{}/{}", name, i), {batch, groups[i].channels, groups[i].height, groups[i].width}, dtype));
  }
  check(!file.has(fmt::format("{}/{}", name, groups.size())), ExitCode::kCorrupt,
      "{}: {} has more layers than the VAE's {}", file.path().string(), name, groups.size());
  return vae::join_layers(layers);
}

std::vector<std::int64_t> read_levels(const H5File& file, std::int64_t num_levels) {
  const auto info = info_of(file, "t");
  check(info.type == H5Type::kI64 && info.shape.size() == 1 && info.shape[0] >= 1 && info.shape[0] <= kMaxBatch,
      ExitCode::kCorrupt, "{}: dataset t is {} [{}], expected i64 [B], B from 1 to {}", file.path().string(),
      storage::name_of(info.type), fmt::join(info.shape, ", "), kMaxBatch);
  auto t = file.read_all<std::int64_t>("t", H5Type::kI64);
  for (const auto level : t) {
    check(level >= 0 && level < num_levels, ExitCode::kCorrupt, "{}: dataset t has {}, expected 0 to {} (T = {})",
        file.path().string(), level, num_levels - 1, num_levels);
  }
  return t;
}

double largest(const at::Tensor& values) { return values.numel() == 0 ? 0.0 : values.abs().max().item<double>(); }

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
    const at::Tensor loss = prior::contrastive_loss(net.outputs(live, biases, positive[i]).f,
        net.outputs(live, biases, negative[i]).f, weight, 0.0, static_cast<std::int64_t>(inputs.t.size()));
    torch::autograd::backward({loss}, {});
    total = total.defined() ? total + loss.detach() : loss.detach();
    for (const auto& g : net.params().views_of(net.params().grad(), fmt::format("grad/netE{}/", i)))
      gradients.push_back({g.name, g.tensor.clone()});
  }
  return total;
}

}  // namespace

ReplayInputs read_replay_inputs(
    const H5File& file, const vae::Backbone& backbone, std::int64_t num_levels, at::ScalarType dtype) {
  ReplayInputs out;
  out.t = read_levels(file, num_levels);
  const std::int64_t batch = std::ssize(out.t);
  const ImageShape image = backbone.image_shape();
  const at::Device device = backbone.params().device();
  const auto layers = [&](const std::string& name) {
    return read_layers(file, name, batch, backbone.groups(), dtype).to(device);
  };
  out.x = read_tensor(file, "x", {batch, image.channels, image.height, image.width}, dtype).to(device);
  out.posterior_noise = layers("posterior_noise");
  out.u = layers("u");
  while (file.has(fmt::format("langevin_noise/{}/0", out.langevin_noise.size())))
    out.langevin_noise.push_back(layers(fmt::format("langevin_noise/{}", out.langevin_noise.size())));
  check(!out.langevin_noise.empty(), ExitCode::kCorrupt, "{}: the case has no dataset langevin_noise/0/0",
      file.path().string());
  return out;
}

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

std::vector<Comparison> compare_with_case(const H5File& file, const std::vector<nets::NamedTensor>& results) {
  std::map<std::string, at::Tensor> expected;
  std::map<std::string, double> largest_of_net;
  for (const auto& result : results) {
    const at::Tensor values = read_tensor(file, result.name, result.tensor.sizes().vec(), at::kDouble);
    expected[result.name] = values;
    double& scale = largest_of_net[net_of(result.name)];
    scale = std::max(scale, largest(values));
  }
  for (const auto& name : file.names()) {
    check(!name.starts_with("grad/") || expected.contains(name), ExitCode::kCorrupt,
        "{}: the case has {}, the prior has no such parameter", file.path().string(), name);
  }
  std::vector<Comparison> out;
  for (const auto& result : results) {
    const Bar& bar = bar_of(result.name);
    const std::string net = net_of(result.name);
    double scale = !bar.relative ? 1.0 : net.empty() ? largest(expected[result.name]) : largest_of_net[net];
    if (scale == 0.0) scale = 1.0;
    out.push_back(
        {result.name, largest(result.tensor.to(at::kCPU, at::kDouble) - expected[result.name]) / scale, bar.bar});
  }
  return out;
}

bool all_ok(const std::vector<Comparison>& comparisons) {
  return std::all_of(comparisons.begin(), comparisons.end(), [](const Comparison& c) { return c.ok(); });
}

std::string comparison_table(const std::vector<Comparison>& comparisons) {
  std::vector<std::pair<std::string, Comparison>> rows;  // stage, its worst
  for (const auto& c : comparisons) {
    const std::string net = net_of(c.dataset), stage = net.empty() ? c.dataset.substr(0, c.dataset.find('/')) : net;
    if (rows.empty() || rows.back().first != stage) rows.emplace_back(stage, c);
    if (!(c.error <= rows.back().second.error)) rows.back().second = c;  // a NaN is the worst
  }
  std::string out = fmt::format("{:<14} {:>9} {:>9}  {:<4} {}\n", "stage", "error", "bar", "", "worst dataset");
  for (const auto& [stage, worst] : rows) {
    out += fmt::format("{:<14} {:>9.2e} {:>9.0e}  {:<4} {}\n", stage, worst.error, worst.bar,
        worst.ok() ? "ok" : "OVER", worst.dataset);
  }
  return out;
}

nlohmann::json comparison_json(const std::vector<Comparison>& comparisons) {
  auto datasets = nlohmann::json::array();
  for (const auto& c : comparisons)
    datasets.push_back({{"dataset", c.dataset}, {"error", c.error}, {"bar", c.bar}, {"ok", c.ok()}});
  return {{"ok", all_ok(comparisons)}, {"datasets", datasets}};
}

void write_results(const std::filesystem::path& path, const std::vector<nets::NamedTensor>& results) {
  check(!std::filesystem::exists(path), ExitCode::kUsage, "{} exists; remove it or give another --out", path.string());
  data::ScratchFile scratch(path);
  auto file = H5File::create(scratch.path());
  for (const auto& result : results) {
    const at::Tensor host = result.tensor.detach().to(at::kCPU).contiguous();
    const H5Type type = host.scalar_type() == at::kFloat ? H5Type::kF32 : H5Type::kF64;
    file.write(result.name, type, {host.sizes().begin(), host.sizes().end()},
        {static_cast<const std::byte*>(host.const_data_ptr()), static_cast<std::size_t>(host.nbytes())});
  }
  file.close_durable();
  scratch.publish();
}

}  // namespace hebm::evaluate
