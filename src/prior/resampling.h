// Importance resampling: one of M proposals, drawn with probability ~ its weight.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "prior/chains.h"

namespace hebm::prior {

// For each column b of log weights [M, B] float64 a proposal m, drawn with probability ~
// exp(weight[m, b]); uniform [B] in [0, 1). Error(kRuntime) where a weight is not finite.
std::vector<std::int64_t> choose_proposals(const at::Tensor& log_weights, const std::vector<double>& uniform);

// uniform [B] of the choice, keyed by (ids, t).
std::vector<double> choice_uniforms(const ChainIds& ids, std::int64_t t);

}  // namespace hebm::prior
