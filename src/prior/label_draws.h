// Images for a label (Eq. 20, 21). Only the chain of t = 0 knows y, and in K steps it hardly moves
// from the class where it starts. Draws for y are draws of the unlabelled prior weighted by p(y |
// u_0), so one of M candidates (u_1, u_0), which the unlabelled chains draw, is taken with
// probability ~ p(y | u_0) (to the power of the guidance): importance resampling, exact for M ->
// infinity. The chain of t = 0 for y, which leaves p(u_0 | u_1, y) as it is, then goes on from its
// u_0. With M = 1, the paper's way, u_1 knows nothing of y and the chain starts there.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "prior/reverse_chain.h"

namespace hebm::prior {

struct LabelCandidates {
  std::vector<at::Tensor> u1, u0;                        // [M] of [B, D]
  std::vector<std::vector<at::Tensor>> log_probability;  // [M][heads] of [B, C], of u0 (Eq. 19)
};

// M draws a row, with random numbers of their own; M = 1: u_1 alone, that of `chain.sample`. ids:
// visits below 1,000.
// held: of all chains, as in ReverseChain.
LabelCandidates draw_candidates(
    const ReverseChain& chain, std::int64_t candidates, const ChainIds& ids, const HeldLayers* held = nullptr);
// Row by row which of them, for the categories and the guidance of choice. M > 1.
std::vector<std::int64_t> choose_candidates(
    const LabelCandidates& candidates, const LabelChoice& choice, const ChainIds& ids);
// u_0 [B, D]: the choice and the chain of t = 0.
at::Tensor finish_for_labels(const ReverseChain& chain, const LabelCandidates& candidates, const LabelChoice& choice,
    const ChainIds& ids, const HeldLayers* held = nullptr);

// All of it.
at::Tensor sample_for_labels(const ReverseChain& chain, const LabelChoice& choice, std::int64_t candidates,
    const ChainIds& ids, const HeldLayers* held = nullptr);

}  // namespace hebm::prior
