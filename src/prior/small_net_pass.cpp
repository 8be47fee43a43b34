#include "prior/small_net_pass.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <algorithm>
#include "base/error.h"
#include "nets/gemm.h"
#include "nets/pointwise.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kImages = 32;  // of a pass: enough rows for the products, buffers that stay in the cache

using nets::MapShape;
using Tensors = std::vector<at::Tensor>;

const float* data_of(const at::Tensor& t) { return t.const_data_ptr<float>(); }

// [out, C H W] -> [H W C, out]: what a dense layer reads is channels last.
at::Tensor dense_matrix(const at::Tensor& weight, const MapShape& in) {
  return weight.detach().reshape({-1, in.channels, in.pixels()}).permute({2, 1, 0}).flatten(0, 1).contiguous();
}
// The gradient of such a matrix -> [out, C H W].
at::Tensor dense_weight(const at::Tensor& matrix, const MapShape& in) {
  return matrix.reshape({in.pixels(), in.channels, -1}).permute({2, 1, 0}).reshape({-1, in.size()});
}

// Rows [first, first + count) of a bias of a stage: the same for all images, or one an image.
struct Bias {
  const float* data;
  std::int64_t of_image;  // floats from image to image
};
std::vector<Bias> biases_from(const Tensors& biases, std::int64_t first) {
  std::vector<Bias> out;
  for (const at::Tensor& bias : biases) {
    const bool own = bias.dim() == 2;
    out.push_back({data_of(bias) + (own ? first * bias.size(1) : 0), own ? bias.size(1) : 0});
  }
  return out;
}

}  // namespace

// One chunk of m images.
class SmallNetPass {
 public:
  SmallNetPass(const std::vector<SmallStage>& stages, std::size_t residual, std::int64_t images)
      : stages_(stages), residual_(residual), images_(images), h_(stages.size()), slopes_(stages.size()) {
    std::int64_t largest = stages[0].in.size();
    for (std::size_t j = 0; j < stages.size(); ++j) {
      h_[j].resize(static_cast<std::size_t>(images * stages[j].out.size()));
      slopes_[j].resize(h_[j].size());
      largest = std::max(largest, stages[j].out.size());
    }
    for (Floats* floats : {&gradient_, &below_}) floats->resize(static_cast<std::size_t>(images * largest));
  }
  std::int64_t images() const { return images_; }

  // z [m, H, W, C], to live until reverse() -> h [m, W]
  const float* forward(const float* z, const std::vector<Bias>& biases) {
    z_ = z;
    for (std::size_t j = 0; j < stages_.size(); ++j) {
      const SmallStage& stage = stages_[j];
      const std::int64_t in = stage.in.size(), out = stage.out.size();
      const float* x = input(j);
      if (stage.convolves()) {
        stage.conv.forward(x, h_[j].data(), images_);
      } else {
        nets::multiply({x, in}, {data_of(stage.dense), out}, {h_[j].data(), out}, {images_, out, in});
      }
      activate(j, biases[j]);
      if (adds(j)) nets::add_to(h_[j].data(), x, images_ * out);
    }
    return h_.back().data();
  }

  // gh [m, W] -> d/dz at the result, where it is wanted. weights: adds to each stage's gradient,
  // [O, C, k, k] or [in, out], and to [O] or, of images `first` on, [B, O] of the biases.
  struct Gradients {
    Tensors stages, biases;
    std::int64_t first = 0;
  };
  const float* reverse(const float* gh, bool wants_z, const Gradients* weights) {
    std::copy_n(gh, h_.back().size(), gradient_.data());
    for (std::size_t j = stages_.size(); j-- > 0;) {
      const SmallStage& stage = stages_[j];
      const std::int64_t in = stage.in.size(), out = stage.out.size();
      if (adds(j)) kept_ = gradient_;
      nets::multiply_by(gradient_.data(), slopes_[j].data(), images_ * out);
      if (weights != nullptr) add_gradients(j, *weights);
      if (j == 0 && !wants_z) return nullptr;
      if (stage.convolves()) {
        stage.conv.reverse(gradient_.data(), below_.data(), images_);
      } else {
        nets::multiply({gradient_.data(), out}, {data_of(stage.turned), in}, {below_.data(), in}, {images_, in, out});
      }
      std::swap(gradient_, below_);
      if (adds(j)) nets::add_to(gradient_.data(), kept_.data(), images_ * in);
    }
    return gradient_.data();
  }
 private:
  using Floats = std::vector<float>;
  const float* input(std::size_t j) const { return j == 0 ? z_ : h_[j - 1].data(); }
  bool adds(std::size_t j) const { return j > 0 && j == residual_; }

  void activate(std::size_t j, const Bias& bias) {
    const MapShape& out = stages_[j].out;
    float *h = h_[j].data(), *slope = slopes_[j].data();
    if (bias.of_image == 0) return nets::silu_rows({images_ * out.pixels(), out.channels, h, bias.data, h, slope});
    for (std::int64_t b = 0; b < images_; ++b)
      nets::silu_rows({out.pixels(), out.channels, h + b * out.size(), bias.data + b * bias.of_image,
          h + b * out.size(), slope + b * out.size()});
  }

  void add_gradients(std::size_t j, const Gradients& to) const {
    const SmallStage& stage = stages_[j];
    const std::int64_t in = stage.in.size(), out = stage.out.size(), channels = stage.out.channels;
    const float* g = gradient_.data();
    if (stage.convolves()) {
      stage.conv.add_weight_gradient(input(j), g, images_, to.stages[j]);
    } else {
      nets::multiply_left_transposed(
          {input(j), in}, {g, out}, {to.stages[j].mutable_data_ptr<float>(), out, true}, {in, out, images_});
    }
    const bool own = to.biases[j].dim() == 2;
    float* bias = to.biases[j].mutable_data_ptr<float>() + (own ? to.first * channels : 0);
    for (std::int64_t b = 0; b < images_; ++b) {
      for (std::int64_t p = 0; p < stage.out.pixels(); ++p, g += channels)
        nets::add_to(bias + (own ? b * channels : 0), g, channels);
    }
  }

  const std::vector<SmallStage>& stages_;
  std::size_t residual_;
  std::int64_t images_;
  const float* z_ = nullptr;
  std::vector<Floats> h_, slopes_;  // by stage, [m, pixels, channels]
  Floats gradient_, below_, kept_;
};

SmallNetPlan::SmallNetPlan(
    const std::vector<at::Tensor>& weights, const LatentShape& shape, std::size_t residual, double gain)
    : residual_(residual), output_((weights.back().detach() * gain).flatten().contiguous()) {
  MapShape map{shape.channels, shape.height, shape.width};
  for (std::size_t j = 0; j + 1 < weights.size(); ++j) {
    const at::Tensor& weight = weights[j];
    SmallStage stage;
    stage.in = map;
    if (weight.dim() == 4) {
      stage.conv = {weight, map, {.stride = weight.size(3) == 4 ? 2 : 1}};
      stage.out = stage.conv.out();
    } else {
      stage.dense = dense_matrix(weight, map);
      stage.turned = stage.dense.t().contiguous();
      stage.out = {weight.size(0), 1, 1};
    }
    map = stage.out;
    stages_.push_back(std::move(stage));
  }
}

SmallNetPlan::~SmallNetPlan() = default;

std::unique_ptr<SmallNetPass> SmallNetPlan::take(std::int64_t images) const {
  return pool_.take(
      images, [&](std::int64_t count) { return std::make_unique<SmallNetPass>(stages_, residual_, count); });
}

at::Tensor SmallNetPlan::input_gradient(const Tensors& biases, const at::Tensor& z) const {
  const at::Tensor rows = z.detach().permute({0, 2, 3, 1}).contiguous();  // [B, H, W, C]
  const at::Tensor out = at::empty_like(rows);
  const auto chunks = nets::Chunks::of(rows.size(0), kImages);
  const std::int64_t size = stages_[0].in.size();
  chunks.each([&](std::int64_t k) {
    const std::int64_t first = chunks.first(k), count = chunks.rows(k);
    auto pass = take(count);
    pass->forward(data_of(rows) + first * size, biases_from(biases, first));
    const at::Tensor gh = output_.repeat({count, 1});
    std::copy_n(pass->reverse(data_of(gh), true, nullptr), count * size, out.mutable_data_ptr<float>() + first * size);
    pool_.give_back(std::move(pass));
  });
  return out.permute({0, 3, 1, 2});
}

// The reverse pass in torch's graph; inputs z, weights, biases.
struct SmallNetNode : torch::autograd::Node {
  std::shared_ptr<const SmallNetPlan> plan;
  std::vector<std::unique_ptr<SmallNetPass>> passes;
  nets::Chunks chunks;
  at::Tensor rows;  // z [B, H, W, C]
  Tensors biases;   // of the forward pass

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    check(!passes.empty(), ExitCode::kRuntime, "energy net: a second backward through the same f");
    const auto& stages = plan->stages();
    const bool wants_z = task_should_compute_output(0);
    const at::Tensor gh = grads[0].contiguous(), gz = wants_z ? at::empty_like(rows) : at::Tensor();
    std::vector<SmallNetPass::Gradients> parts(passes.size());
    chunks.each([&](std::int64_t k) {
      SmallNetPass::Gradients& part = parts[static_cast<std::size_t>(k)];
      for (std::size_t j = 0; j < stages.size(); ++j) {
        const auto& [in, out] = std::pair{stages[j].in, stages[j].out};
        part.stages.push_back(
            stages[j].convolves() ? stages[j].conv.zero_weight() : at::zeros({in.size(), out.channels}, at::kFloat));
        part.biases.push_back(at::zeros(biases[j].sizes(), at::kFloat));
      }
      part.first = chunks.first(k);
      const std::int64_t size = stages[0].in.size();
      const float* of_z =
          passes[static_cast<std::size_t>(k)]->reverse(data_of(gh) + chunks.first(k) * gh.size(1), wants_z, &part);
      if (wants_z) std::copy_n(of_z, chunks.rows(k) * size, gz.mutable_data_ptr<float>() + chunks.first(k) * size);
    });
    torch::autograd::variable_list out{wants_z ? gz.permute({0, 3, 1, 2}) : at::Tensor()};
    for (std::size_t j = 0; j < stages.size(); ++j) {
      at::Tensor sum = parts[0].stages[j];
      for (std::size_t k = 1; k < parts.size(); ++k) sum.add_(parts[k].stages[j]);
      out.push_back(stages[j].convolves() ? sum : dense_weight(sum, stages[j].in));
    }
    for (std::size_t j = 0; j < stages.size(); ++j) {
      for (std::size_t k = 1; k < parts.size(); ++k) parts[0].biases[j].add_(parts[k].biases[j]);
      out.push_back(parts[0].biases[j]);
    }
    return out;
  }
  void release_variables() override {
    for (auto& pass : passes) plan->pool_.give_back(std::move(pass));
    passes.clear();
  }
  ~SmallNetNode() override { release_variables(); }
};

at::Tensor SmallNetPlan::features(const at::Tensor& z, const Tensors& weights, const Tensors& biases) const {
  const std::shared_ptr<SmallNetNode> node(new SmallNetNode, torch::autograd::deleteNode);
  node->plan = shared_from_this();
  node->rows = z.detach().permute({0, 2, 3, 1}).contiguous();
  for (const at::Tensor& bias : biases) node->biases.push_back(bias.detach().contiguous());
  const auto chunks = node->chunks = nets::Chunks::of(z.size(0), kImages);
  at::Tensor out = at::empty({z.size(0), output_.numel()}, at::kFloat);
  node->passes.resize(static_cast<std::size_t>(chunks.number()));
  chunks.each([&](std::int64_t k) {
    auto& pass = node->passes[static_cast<std::size_t>(k)] = take(chunks.rows(k));
    const float* h = pass->forward(
        data_of(node->rows) + chunks.first(k) * stages_[0].in.size(), biases_from(node->biases, chunks.first(k)));
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
