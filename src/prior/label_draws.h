// Images for a label (Eq. 20, 21). Only the chain of t = 0 knows y; u_1 comes from the unlabelled chains and has settled most of the class by then. As
// p(u_1 | y) ~ p(u_1) p(y | u_1), and p(y | u_0) of the u_0 that the unlabelled chain draws from u_1 is an unbiased estimate of p(y | u_1), u_1 is one of M
// candidates, taken with probability ~ p(y | u_0): importance resampling, exact for M -> infinity. With M = 1, the paper's way, u_1 knows nothing of y.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "prior/reverse_chain.h"

namespace hebm::prior {

struct LabelCandidates {
  std::vector<at::Tensor> u1;                            // [M] of [B, D]
  std::vector<std::vector<at::Tensor>> log_probability;  // [M][heads] of [B, C], of their u_0 (Eq. 19)
};

// M draws a row, with random numbers of their own; M = 1: u_1 alone, that of `chain.sample`, without probabilities. ids: visits below 1,000. held: of all
// chains, as in ReverseChain.
LabelCandidates draw_candidates(const ReverseChain& chain, std::int64_t candidates, std::uint64_t seed, const ChainIds& ids, const HeldLayers* held = nullptr);
// Row by row u_1 of one of them, for the categories of choice [B, D].
at::Tensor choose_candidates(const LabelCandidates& candidates, const LabelChoice& choice, std::uint64_t seed, const ChainIds& ids);

// u_0 for the labels of choice: candidates, choice among them, the chain of t = 0 (Eq. 20).
at::Tensor sample_for_labels(const ReverseChain& chain, const LabelChoice& choice, std::int64_t candidates, std::uint64_t seed, const ChainIds& ids,
                             const HeldLayers* held = nullptr);

}  // namespace hebm::prior
