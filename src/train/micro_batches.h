// The unit of work: a global batch is V micro-batches of fixed shape and membership; rank r of N
// gets the whole micro-batches [V r / N, V (r+1) / N). So no result depends on the number of ranks.
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"

namespace hebm::train {

struct MicroBatches {
  std::int64_t batch = 0, size = 0, count = 0;  // global batch, rows of one, V
  std::int64_t first = 0, last = 0;             // this rank's

  MicroBatches(std::int64_t batch_, std::int64_t size_, int rank, int num_ranks, const std::string& keys)
      : batch(batch_), size(size_), count(size_ > 0 ? batch_ / size_ : 0) {
    check(size > 0 && count * size == batch, ExitCode::kUsage,
          "{}: the batch {} is not a multiple of the micro-batch {}", keys, batch, size);
    check(count >= num_ranks, ExitCode::kUsage,
          "{}: batch {} in micro-batches of {} gives {} units of work for {} ranks; take a smaller micro-batch, a "
          "larger batch or fewer ranks",
          keys, batch, size, count, num_ranks);
    first = count * rank / num_ranks;
    last = count * (rank + 1) / num_ranks;
  }
};

}  // namespace hebm::train
