#include "vae/frozen_path.h"
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/functions/utils.h>
#include "base/error.h"

namespace hebm::vae {
// The reverse pass in torch's graph.
struct FrozenTransportNode : torch::autograd::Node {
  nets::KeptPasses<FrozenPass> passes;
  std::int64_t dim;
  FrozenTransportNode(nets::KeptPasses<FrozenPass> of_forward, std::int64_t dim_of_u)
      : passes(std::move(of_forward)), dim(dim_of_u) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    nets::check_reverse(passes.released(), "transport of a frozen VAE", "z", "; freeze(false)");
    const nets::Chunks& chunks = passes.chunks;
    const at::Tensor out = at::empty({chunks.count, dim}, at::kFloat);
    chunks.each([&](std::int64_t k) {
      passes[k]->reverse(grads, chunks.first(k), out.narrow(0, chunks.first(k), chunks.rows(k)));
    });
    release_variables();
    return {out};
  }
  void release_variables() override { passes.release(); }
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
  nets::KeptPasses<FrozenPass> passes({shared_from_this(), &pool_}, chunks);
  chunks.each([&](std::int64_t k) {
    auto& pass = passes[k] = pool_.take(chunks.rows(k), make_);
    pass->forward(input.narrow(0, chunks.first(k), chunks.rows(k)), z, chunks.first(k));
    if (!differentiable) pool_.give_back(std::move(pass));
  });
  if (!differentiable) return z;
  const std::shared_ptr<FrozenTransportNode> node(
      new FrozenTransportNode(std::move(passes), dim), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(u));
  torch::autograd::set_history(z, node);
  return z;
}

}  // namespace hebm::vae
