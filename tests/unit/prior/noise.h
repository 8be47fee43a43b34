// Noise and chains that tests ask for.
#pragma once
#include <utility>
#include "prior/chains.h"

namespace hebm::test {

// N(0, I), [B, dim]: row b keyed by (key; ids[b], t[b]); t may be empty (0).
inline at::Tensor normal_rows(
    std::int64_t dim, const RandomKey& key, prior::ChainIds ids, std::vector<std::int64_t> t = {}) {
  ids.seed = key.seed;
  ids.attempt = key.attempt;
  if (t.empty()) t.assign(ids.item.size(), 0);
  return prior::Chains(ids, t, at::kCPU).normals(key.purpose, dim);
}

// Where only the levels of chains matter.
inline prior::Chains chains_at(const std::vector<std::int64_t>& levels, at::Device device = at::kCPU) {
  return {prior::chain_ids(0, 0, static_cast<std::int64_t>(levels.size())), levels, device};
}

}  // namespace hebm::test
