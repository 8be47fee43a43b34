// Which GPU a rank computes on: one each, by its local number. In builds without CUDA there are
// none.
#pragma once
#include <string>
#include "comm/communicator.h"

namespace hebm::comm {

// GPUs that this process sees; 0 also where there is no driver.
int num_gpus();

// The rule: -1 is the CPU. device is CommOptions::device; everywhere: all ranks see a GPU. `auto`
// takes GPUs everywhere or nowhere. Error(kEnvironment): `cuda` where this rank (on `host`) sees no
// GPU.
int gpu_of_rank(const std::string& device, int local_rank, int gpus, bool everywhere, const std::string& host);

// Makes it CUDA's current device of this thread, and gives its PCI address, by which the machine
// tells GPUs apart ("" for -1). Error(kEnvironment).
std::string take_gpu(int gpu);

// Collective. Error(kEnvironment) naming two ranks of one machine with the same address.
void check_gpus_apart(Communicator& comm, const std::string& address);

}  // namespace hebm::comm
