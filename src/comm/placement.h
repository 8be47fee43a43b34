// Threads and devices of this rank. Local ranks by MPI_Comm_split_type. Threads: the cores of the
// own affinity mask where the local ranks' masks are disjoint, else max(1, cores of all their masks
// together / local ranks). Hardware threads of one core count once. A GPU a
// rank, by its local number; two ranks on one are refused unless CommOptions::share_gpu. In builds
// without CUDA there are none.
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

// GPUs that this process sees; 0 also where there is no driver.
int num_gpus();

// -1: the CPU. everywhere: all ranks see a GPU. `auto` takes GPUs everywhere or nowhere.
// Error(kEnvironment): `cuda` where this rank (on `host`) sees no GPU.
int gpu_of_rank(Device device, int local_rank, int gpus, bool everywhere, const std::string& host);

// Makes it CUDA's current device of this thread, and gives its PCI address, by which the machine
// tells GPUs apart ("" for -1). Error(kEnvironment).
std::string take_gpu(int gpu);

// Collective. Error(kEnvironment) naming two ranks of one machine with the same address.
void check_gpus_apart(Communicator& comm, const std::string& address);

// Collective.
Placement place(Communicator& comm, const CommOptions& options);

}  // namespace hebm::comm
