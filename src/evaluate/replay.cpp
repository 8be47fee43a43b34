#include "evaluate/replay.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <map>
#include "base/error.h"
#include "storage/files.h"

namespace hebm::evaluate {
namespace {

using storage::H5File;
using storage::H5Type;

constexpr std::int64_t kMaxBatch = 65536;

// Bars of docs/results.md, "Replay": float32 on a CPU.
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

}  // namespace

ReplayInputs read_replay_inputs(
    const H5File& file, const vae::Backbone& backbone, std::int64_t num_levels, at::ScalarType dtype) {
  ReplayInputs out;
  out.t = read_levels(file, num_levels);
  const auto batch = static_cast<std::int64_t>(out.t.size());
  const ImageShape image = backbone.image_shape();
  const auto& groups = backbone.groups();
  out.x = read_tensor(file, "x", {batch, image.channels, image.height, image.width}, dtype);
  out.posterior_noise = read_layers(file, "posterior_noise", batch, groups, dtype);
  out.u = read_layers(file, "u", batch, groups, dtype);
  while (file.has(fmt::format("langevin_noise/{}/0", out.langevin_noise.size()))) {
    out.langevin_noise.push_back(
        read_layers(file, fmt::format("langevin_noise/{}", out.langevin_noise.size()), batch, groups, dtype));
  }
  check(!out.langevin_noise.empty(), ExitCode::kCorrupt, "{}: the case has no dataset langevin_noise/0/0",
      file.path().string());
  return out;
}

void ReplayInputs::to(at::Device device) {
  for (at::Tensor* tensor : {&x, &posterior_noise, &u}) *tensor = tensor->to(device);
  for (auto& noise : langevin_noise) noise = noise.to(device);
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
  const std::filesystem::path temporary = storage::temporary_name(path);
  try {
    auto file = H5File::create(temporary);
    for (const auto& result : results) {
      const at::Tensor host = result.tensor.detach().to(at::kCPU).contiguous();
      const H5Type type = host.scalar_type() == at::kFloat ? H5Type::kF32 : H5Type::kF64;
      file.write(result.name, type, {host.sizes().begin(), host.sizes().end()},
          {static_cast<const std::byte*>(host.const_data_ptr()), static_cast<std::size_t>(host.nbytes())});
    }
    file.close_durable();
    storage::rename_durable(temporary, path);
  } catch (...) {
    storage::remove_file(temporary);
    throw;
  }
}

}  // namespace hebm::evaluate
