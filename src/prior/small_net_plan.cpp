#include "prior/small_net_plan.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <algorithm>
#include "base/error.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kImages = 32;  // of a pass: enough rows for the products, buffers that stay in the cache

using nets::MapShape;
using Tensors = std::vector<at::Tensor>;

const float* data_of(const at::Tensor& t) { return t.const_data_ptr<float>(); }

// [out, C H W] -> [H W C, out]: what a dense layer reads is channels last.
at::Tensor dense_matrix(const at::Tensor& weight, const MapShape& in) {
  const at::Tensor map = weight.detach().reshape({-1, in.channels, in.pixels()});
  return map.permute({2, 1, 0}).flatten(0, 1).clone(at::MemoryFormat::Contiguous);
}
// The gradient of such a matrix -> [out, C H W].
at::Tensor dense_weight(const at::Tensor& matrix, const MapShape& in) {
  return matrix.reshape({in.pixels(), in.channels, -1}).permute({2, 1, 0}).reshape({-1, in.size()});
}

void check_inputs(const std::vector<SmallStage>& stages, const Tensors& biases, const at::Tensor& z) {
  const MapShape& in = stages[0].in;
  check(z.dim() == 4 && z.size(1) == in.channels && z.size(2) == in.height && z.size(3) == in.width, ExitCode::kRuntime,
      "energy net: z of [B,{},{},{}] expected, got [{}]", in.channels, in.height, in.width,
      fmt::join(z.sizes().vec(), ","));
  check(biases.size() == stages.size(), ExitCode::kRuntime, "energy net: {} biases expected, got {}", stages.size(),
      biases.size());
  for (std::size_t j = 0; j < stages.size(); ++j) {
    const std::int64_t out = stages[j].out.channels, rows = is_of_images(biases[j]) ? z.size(0) : 1;
    check(biases[j].numel() == rows * out && biases[j].size(-1) == out, ExitCode::kRuntime,
        "energy net: bias {} of {} channels and {} images has shape [{}]", j, out, z.size(0),
        fmt::join(biases[j].sizes().vec(), ","));
  }
}

}  // namespace

SmallNetPlan::SmallNetPlan(const std::vector<at::Tensor>& weights, const SmallNetForm& form)
    : residual_(form.residual), output_((weights.back().detach() * form.gain).flatten().contiguous()) {
  MapShape map{form.shape.channels, form.shape.height, form.shape.width};
  for (std::size_t j = 0; j + 1 < weights.size(); ++j) {
    const at::Tensor& weight = weights[j];
    SmallStage stage;
    stage.in = map;
    if (weight.dim() == 4) {
      stage.conv = {weight, map, {.stride = weight.size(3) == 4 ? 2 : 1}, form.products};
      stage.out = stage.conv.out();
    } else {
      stage.dense = dense_matrix(weight, map).to(form.products);
      stage.turned = stage.dense.t().contiguous();
      stage.out = {weight.size(0), 1, 1};
    }
    map = stage.out;
    stages_.push_back(std::move(stage));
  }
}

std::unique_ptr<SmallNetPass> SmallNetPlan::take(std::int64_t images) const {
  return pool_.take(
      images, [&](std::int64_t count) { return std::make_unique<SmallNetPass>(stages_, residual_, count); });
}

at::Tensor SmallNetPlan::input_gradient(const Tensors& biases, const at::Tensor& z) const {
  check_inputs(stages_, biases, z);
  const at::Tensor rows = z.detach().permute({0, 2, 3, 1}).contiguous();  // [B, H, W, C]
  const at::Tensor out = at::empty_like(rows);
  const auto chunks = nets::Chunks::of(rows.size(0), kImages);
  const std::int64_t size = stages_[0].in.size();
  chunks.each([&](std::int64_t k) {
    const std::int64_t first = chunks.first(k), count = chunks.rows(k);
    auto pass = take(count);
    pass->forward(data_of(rows) + first * size, biases, first);
    const at::Tensor gh = output_.repeat({count, 1});
    std::copy_n(pass->reverse(data_of(gh), true, nullptr), count * size, out.mutable_data_ptr<float>() + first * size);
    pool_.give_back(std::move(pass));
  });
  return out.permute({0, 3, 1, 2});
}

// The reverse pass in torch's graph; inputs z, weights, biases.
struct SmallNetNode : torch::autograd::Node {
  std::shared_ptr<const SmallNetPlan> plan;
  nets::KeptPasses<SmallNetPass> passes;
  at::Tensor rows;            // z [B, H, W, C], z itself where it is channels last
  std::uint32_t version = 0;  // of rows
  Tensors biases;             // of the forward pass
  SmallNetNode(std::shared_ptr<const SmallNetPlan> of, const nets::Chunks& chunks)
      : plan(std::move(of)), passes({plan, &plan->pool_}, chunks) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    nets::check_reverse(passes.released(), "energy net", "f", " from frozen weights");
    check(
        rows._version() == version, ExitCode::kRuntime, "energy net: z was changed in place before the backward pass");
    if (!grads[0].defined()) return torch::autograd::variable_list(num_outputs());
    const bool wants_z = task_should_compute_output(0), wants_weights = wants_any_weight();
    const at::Tensor gh = grads[0].contiguous(), gz = wants_z ? at::empty_like(rows) : at::Tensor();
    const nets::Chunks& chunks = passes.chunks;
    const std::int64_t size = plan->stages_[0].in.size();
    std::vector<SmallNetPass::Gradients> parts =
        zero_gradients(wants_weights ? std::max<std::int64_t>(1, chunks.number()) : 0);
    chunks.each([&](std::int64_t k) {
      auto* of_weights = wants_weights ? &parts[static_cast<std::size_t>(k)] : nullptr;
      const float* of_z = passes[k]->reverse(data_of(gh) + chunks.first(k) * gh.size(1), wants_z, of_weights);
      if (wants_z) std::copy_n(of_z, chunks.rows(k) * size, gz.mutable_data_ptr<float>() + chunks.first(k) * size);
    });
    torch::autograd::variable_list out{wants_z ? gz.permute({0, 3, 1, 2}) : at::Tensor()};
    if (wants_weights) {
      add_sums(parts, out);
    } else {
      out.resize(num_outputs());
    }
    return out;
  }
  bool wants_any_weight() const {
    for (std::size_t i = 1; i < num_outputs(); ++i) {
      if (task_should_compute_output(i)) return true;
    }
    return false;
  }
  // One a chunk; biases of images, whose rows are the chunks' own, are one tensor.
  std::vector<SmallNetPass::Gradients> zero_gradients(std::int64_t number) const {
    std::vector<SmallNetPass::Gradients> out(static_cast<std::size_t>(number));
    for (std::size_t k = 0; k < out.size(); ++k) {
      out[k].first = passes.chunks.first(static_cast<std::int64_t>(k));
      for (std::size_t j = 0; j < biases.size(); ++j) {
        const SmallStage& stage = plan->stages_[j];
        out[k].stages.push_back(stage.convolves() ? stage.conv.zero_weight()
                                                  : at::zeros({stage.in.size(), stage.out.channels}, at::kFloat));
        const bool shared = k > 0 && is_of_images(biases[j]);
        out[k].biases.push_back(shared ? out[0].biases[j] : at::zeros(biases[j].sizes(), at::kFloat));
      }
    }
    return out;
  }
  void add_sums(const std::vector<SmallNetPass::Gradients>& parts, torch::autograd::variable_list& out) const {
    const auto sum_of = [&](Tensors SmallNetPass::Gradients::*which, std::size_t j) {
      at::Tensor sum = (parts[0].*which)[j];
      for (std::size_t k = 1; k < parts.size(); ++k) sum.add_((parts[k].*which)[j]);
      return sum;
    };
    for (std::size_t j = 0; j < biases.size(); ++j) {
      const SmallStage& stage = plan->stages_[j];
      const at::Tensor sum = sum_of(&SmallNetPass::Gradients::stages, j);
      out.push_back(stage.convolves() ? sum : dense_weight(sum, stage.in));
    }
    for (std::size_t j = 0; j < biases.size(); ++j)
      out.push_back(is_of_images(biases[j]) ? parts[0].biases[j] : sum_of(&SmallNetPass::Gradients::biases, j));
  }
  void release_variables() override { passes.release(); }
};

at::Tensor SmallNetPlan::features(const at::Tensor& z, const Tensors& weights, const Tensors& biases) const {
  check_inputs(stages_, biases, z);
  const auto chunks = nets::Chunks::of(z.size(0), kImages);
  const std::shared_ptr<SmallNetNode> node(new SmallNetNode(shared_from_this(), chunks), torch::autograd::deleteNode);
  node->rows = z.detach().permute({0, 2, 3, 1}).contiguous();
  node->version = node->rows._version();
  for (const at::Tensor& bias : biases) node->biases.push_back(bias.detach().contiguous());
  at::Tensor out = at::empty({z.size(0), output_.numel()}, at::kFloat);
  chunks.each([&](std::int64_t k) {
    auto& pass = node->passes[k] = take(chunks.rows(k));
    const float* h =
        pass->forward(data_of(node->rows) + chunks.first(k) * stages_[0].in.size(), node->biases, chunks.first(k));
    std::copy_n(h, chunks.rows(k) * output_.numel(), out.mutable_data_ptr<float>() + chunks.first(k) * output_.numel());
  });
  Tensors inputs{z};
  inputs.insert(inputs.end(), weights.begin(), weights.begin() + std::ssize(stages_));
  inputs.insert(inputs.end(), biases.begin(), biases.end());
  if (!torch::autograd::GradMode::is_enabled() ||
      std::ranges::none_of(inputs, [](const at::Tensor& t) { return t.requires_grad(); }))
    return out;
  torch::autograd::edge_list edges;
  for (const at::Tensor& input : inputs) edges.push_back(torch::autograd::impl::gradient_edge(input));
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(out, node);
  return out;
}

}  // namespace hebm::prior
