// Alg. 1, lines 4 and 5: a random diffusion step t for every image and the noisy pair (u_t,
// u_{t+1}) of Eq. 7.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "prior/chains.h"
#include "prior/schedule.h"

namespace hebm::prior {

struct NoisyPair {
  at::Tensor u_t;     // [B, D] alpha_cum[t] u_0 + sigma_cum[t] n; sigma_cum[0] is not 0: t = 0 has one tiny noise step
  at::Tensor u_next;  // [B, D] alpha[t+1] u_t + sigma[t+1] n'
};

// t ~ U{0..T-1} for each chain.
std::vector<std::int64_t> draw_levels(const Schedule& schedule, const ChainIds& ids);
// One t for all images of micro-batch number `batch` of `count`, neighbours in turn, so that an
// update of T or more has all levels. Where count is a multiple of T, the first level is random by
// update; else T updates in a row have every level `count` times.
std::int64_t level_of_batch(const Schedule& schedule, std::uint64_t seed, std::uint32_t attempt, std::int64_t update,
    std::int64_t batch, std::int64_t count);

// u0 [B, D] float32 on the chains' device.
NoisyPair make_pair(const Chains& chains, const at::Tensor& u0, const Schedule& schedule);

// One draw of Eq. 7 for every image: u_0 -> [T] of [B, D], entry 0 = alpha[0] u_0 + sigma[0] n_0,
// entry t + 1 = alpha[t + 1] (entry t) + sigma[t + 1] n_{t + 1}; n_t is keyed by (ids, t).
std::vector<at::Tensor> forward_trajectory(const at::Tensor& u0, const Schedule& schedule, const ChainIds& ids);

}  // namespace hebm::prior
