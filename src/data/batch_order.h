// Which images make the global batch of step s: epoch v is a pseudo-random permutation of
// the N images, keyed by (seed, v); position p = s * batch + j lies in epoch p / N. A pure
// function: the same for any number of ranks, and resume needs only the step.
#pragma once
#include <cstdint>
#include <vector>
#include "base/random.h"

namespace hebm::data {

struct BatchPlace {
  std::int64_t position;  // index into the list of images, 0..N-1
  std::uint32_t visit;
};

class BatchOrder {
 public:
  BatchOrder(std::int64_t num_images, std::int64_t batch, std::uint64_t seed);
  // Members [first, first + count) of the global batch of this step.
  std::vector<BatchPlace> members(std::int64_t step, std::int64_t first, std::int64_t count) const;
 private:
  std::int64_t num_images_, batch_;
  RandomKey key_;
};

}  // namespace hebm::data
