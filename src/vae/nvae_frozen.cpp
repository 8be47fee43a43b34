#include "vae/nvae_frozen.h"
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <algorithm>
#include <functional>
#include "base/error.h"

namespace hebm::vae {
namespace {

// Of a pass's matrices: enough rows for the products, a state s that is small enough for the cache.
constexpr std::int64_t kMinPixels = 512, kMaxPixels = 1024, kStateValues = 131072;

// Chunks over threads; a single one, or one inside a thread, leaves them to its operations.
void over_chunks(std::size_t count, const std::function<void(std::size_t)>& work) {
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView below;  // plain kernels: nothing here is recorded
    for (std::int64_t k = begin; k < end; ++k) work(static_cast<std::size_t>(k));
  };
  if (count == 1) return run(0, 1);
  at::parallel_for(0, static_cast<std::int64_t>(count), 1, run);
}

}  // namespace

// The reverse pass in torch's graph.
struct FrozenTransportNode : torch::autograd::Node {
  std::shared_ptr<const NvaeFrozen> net;
  NvaeFrozen::Passes passes;
  std::int64_t dim = 0;

  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    check(!passes.empty(), ExitCode::kRuntime, "transport of a frozen NVAE: a second backward through the same z");
    std::int64_t rows = 0;
    for (const auto& pass : passes) rows += pass->images();
    const at::Tensor out = at::empty({rows, dim}, at::kFloat);
    over_chunks(passes.size(), [&](std::size_t k) {
      const std::int64_t row = static_cast<std::int64_t>(k) * passes[0]->images();
      passes[k]->reverse(grads, row, out.narrow(0, row, passes[k]->images()));
    });
    release_variables();
    return {out};
  }
  void release_variables() override {
    for (auto& pass : passes) net->give_back(std::move(pass));
    passes.clear();
  }
  ~FrozenTransportNode() override { release_variables(); }
};

NvaeFrozen::NvaeFrozen(const Nvae& net, std::int64_t slice, std::int64_t images)
    : decoder_(fold_decoder(net, slice)), images_(images) {
  const LatentShape& finest = net.groups().back();
  if (images_ > 0) return;
  const std::int64_t pixels = std::clamp(kStateValues / decoder_.layers.back().channels, kMinPixels, kMaxPixels);
  images_ = std::max<std::int64_t>(1, pixels / (finest.height * finest.width));
}

std::int64_t NvaeFrozen::chunk(std::int64_t count) const {
  const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  return std::clamp((count + threads - 1) / threads, std::int64_t{1}, images_);
}

std::unique_ptr<FrozenPass> NvaeFrozen::take(std::int64_t images) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto& p) { return p->images() == images; });
    if (found != idle_.end()) {
      auto pass = std::move(*found);
      idle_.erase(found);
      return pass;
    }
  }
  return std::make_unique<FrozenPass>(decoder_, images);
}

void NvaeFrozen::give_back(std::unique_ptr<FrozenPass> pass) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(pass));
}

std::vector<at::Tensor> NvaeFrozen::transport(const at::Tensor& u) const {
  const at::Tensor input = u.detach().contiguous();
  const std::int64_t count = u.size(0), size = chunk(count);
  std::vector<at::Tensor> z;
  for (const auto& layer : decoder_.layers) {
    z.push_back(at::empty({count, layer.shape.channels, layer.shape.height, layer.shape.width}, at::kFloat));
  }
  const bool differentiable = torch::autograd::compute_requires_grad(u);
  Passes passes(static_cast<std::size_t>((count + size - 1) / size));
  over_chunks(passes.size(), [&](std::size_t k) {
    const std::int64_t row = static_cast<std::int64_t>(k) * size, images = std::min(size, count - row);
    auto pass = take(images);
    pass->forward(input.narrow(0, row, images), z, row);
    if (differentiable) {
      passes[k] = std::move(pass);
    } else {
      give_back(std::move(pass));
    }
  });
  if (!differentiable) return z;
  const std::shared_ptr<FrozenTransportNode> node(new FrozenTransportNode, torch::autograd::deleteNode);
  node->net = shared_from_this();
  node->passes = std::move(passes);
  node->dim = u.size(1);
  node->set_next_edges(torch::autograd::collect_next_edges(u));
  torch::autograd::set_history(z, node);
  return z;
}

}  // namespace hebm::vae
