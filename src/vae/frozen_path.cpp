#include "vae/frozen_path.h"
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/functions/utils.h>
#include "base/error.h"

namespace hebm::vae {
// The reverse pass in torch's graph.
struct FrozenTransportNode : torch::autograd::Node {
  std::shared_ptr<const FrozenPath> net;
  std::vector<std::unique_ptr<FrozenPass>> passes;
  nets::Chunks chunks;
  std::int64_t dim = 0;

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    check(std::ssize(passes) == chunks.number(), ExitCode::kRuntime,
        "transport of a frozen VAE: a second backward through the same z");
    check(!torch::autograd::GradMode::is_enabled(), ExitCode::kRuntime,
        "transport of a frozen VAE: a gradient of its gradient (create_graph) is not available; freeze(false)");
    const at::Tensor out = at::empty({chunks.count, dim}, at::kFloat);
    chunks.each([&](std::int64_t k) {
      passes[static_cast<std::size_t>(k)]->reverse(
          grads, chunks.first(k), out.narrow(0, chunks.first(k), chunks.rows(k)));
    });
    release_variables();
    return {out};
  }
  void release_variables() override {
    for (auto& pass : passes) net->pool_.give_back(std::move(pass));
    passes.clear();
  }
  ~FrozenTransportNode() override { release_variables(); }
};

std::vector<at::Tensor> FrozenPath::transport(const at::Tensor& u) const {
  const at::Tensor input = u.detach().contiguous();
  std::int64_t dim = 0;
  for (const LatentShape& shape : shapes_) dim += shape.size();
  check(u.dim() == 2 && u.size(1) == dim, ExitCode::kRuntime,
      "transport of a frozen VAE: u of [B, {}] expected, got [{}]", dim, fmt::join(u.sizes().vec(), ","));
  const auto chunks = nets::Chunks::of(u.size(0), images_);
  std::vector<at::Tensor> z;
  for (const LatentShape& shape : shapes_)
    z.push_back(at::empty(
        {chunks.count, shape.channels, shape.height, shape.width}, at::kFloat, at::MemoryFormat::ChannelsLast));
  const bool differentiable = torch::autograd::compute_requires_grad(u);
  std::vector<std::unique_ptr<FrozenPass>> passes(static_cast<std::size_t>(chunks.number()));
  chunks.each([&](std::int64_t k) {
    auto pass = pool_.take(chunks.rows(k), make_);
    pass->forward(input.narrow(0, chunks.first(k), chunks.rows(k)), z, chunks.first(k));
    if (differentiable) {
      passes[static_cast<std::size_t>(k)] = std::move(pass);
    } else {
      pool_.give_back(std::move(pass));
    }
  });
  if (!differentiable) return z;
  const std::shared_ptr<FrozenTransportNode> node(new FrozenTransportNode, torch::autograd::deleteNode);
  node->net = shared_from_this();
  node->passes = std::move(passes);
  node->chunks = chunks;
  node->dim = dim;
  node->set_next_edges(torch::autograd::collect_next_edges(u));
  torch::autograd::set_history(z, node);
  return z;
}

}  // namespace hebm::vae
