// Threads and devices of this rank. Local ranks by MPI_Comm_split_type. Threads: the cores of the
// own affinity mask where the local ranks' masks are disjoint, else max(1, cores of all their masks
// together / local ranks). Hardware threads of one core count once. GPU: see gpus.h; two ranks on
// one are refused unless CommOptions::share_gpu.
#pragma once
#include <string>
#include <vector>
#include "comm/communicator.h"

namespace hebm::comm {

struct Placement {
  std::string host;
  int local_rank = 0, local_size = 1;
  int threads = 1;
  std::vector<int> cpus;  // own affinity mask
  bool masks_disjoint = true;
  int gpu = -1;  // CUDA's number of this rank's GPU, which is CUDA's current device then; -1: computes on the CPU
  std::string describe() const;  // one line
};

// The rule above for the masks of all local ranks (cpu numbers), for the one at `own`.
int share_threads(const std::vector<std::vector<int>>& masks, std::size_t own, bool* disjoint);

// Collective.
Placement place(Communicator& comm, const CommOptions& options);

}  // namespace hebm::comm
