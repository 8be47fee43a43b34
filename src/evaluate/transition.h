// Langevin transitions (Sec. 5.4, Fig. 6 and 7): every s-th state of each level's chain of Alg. 2,
// decoded as if the chain had ended there. Shows whether energy, displacement and score change
// smoothly along the chain, and whether a long chain over-saturates images.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>

namespace hebm::evaluate {

// k = 0, s, 2 s, ... and the last, `steps`.
std::vector<std::int64_t> recorded_steps(std::int64_t steps, std::int64_t every);

// Shares of an image's pixels that are nearly black (at most 1/255) and nearly white (at least
// 254/255): x [B, C, H, W] in [0, 1] -> [B, 2].
at::Tensor saturated_shares(const at::Tensor& x);

}  // namespace hebm::evaluate
