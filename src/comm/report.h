// What `doctor` and `bench allreduce` say about communication.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
#include "comm/communicator.h"

namespace hebm::comm {

// Library -> version: MPI as compiled and as loaded; with CUDA also NCCL (header and library) and
// the CUDA runtime. May be called without a communicator.
std::vector<std::pair<std::string, std::string>> versions();

// One size of a gradient sum, as nccl-tests define its rates: algbw = bytes / time, busbw = algbw *
// 2 (N - 1) / N, which does not depend on N where the links are the limit.
struct AllReduceRate {
  std::int64_t bytes = 0;
  double seconds = 0;  // median of the repetitions, each the slowest rank's
  double algbw_gb_s = 0, busbw_gb_s = 0;
};

// Collective. First sums values that depend on rank and position in float and int64 over the
// control plane and compares with the closed form (Error(kEnvironment) naming rank, element,
// expected and got); then times start_sum + wait of these sizes, in GPU memory under NCCL.
std::vector<AllReduceRate> all_reduce_check(
    Communicator& comm, const std::vector<std::int64_t>& sizes_bytes = {4, 1 << 10, 1 << 16, 1 << 20, 1 << 24});

}  // namespace hebm::comm
