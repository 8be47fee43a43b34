// Less memory for a second forward (Chen et al. 2016): a piece of a net keeps its inputs alone, and
// its backward pass runs it again.
#pragma once
#include <ATen/core/Tensor.h>
#include <functional>
#include <vector>

namespace hebm::vae {

using RunAgain = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

// run(inputs), differentiable once. Other tensors that `run` reads and that want a gradient must be
// leaves; it is added to their grad(). An output may be an input: then the gradients of both add up
// in the order that they have without recomputation. The second run must give the first one's bits.
std::vector<at::Tensor> recomputed(const RunAgain& run, const std::vector<at::Tensor>& inputs);

}  // namespace hebm::vae
