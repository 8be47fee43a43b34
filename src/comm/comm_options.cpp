#include "base/options.h"
#include "comm/communicator.h"

namespace hebm::comm {

void CommOptions::describe(Options& options) {
  options.add_choice("comm.kind", &kind, {"auto", "single", "mpi", "nccl"},
      "how ranks talk; auto: single without a launcher, NCCL for GPUs, else MPI");
  options.add("comm.hang_timeout_s", &hang_timeout_s,
      "seconds that a collective may wait before all ranks end with exit code 6", {0.1, 1e6});
  options.add_choice("compute.device", &device, {"auto", "cpu", "cuda"},
      "where nets and chains are computed; auto: a GPU a rank where all ranks see one, else the CPU");
  options.add("compute.graphs", &graphs,
      "on a GPU: record a Langevin step as a CUDA graph and repeat it, the same bits in less time");
  options.add("compute.share_gpu", &share_gpu, "ranks of one machine may share a GPU (with comm.kind = mpi; slow)");
  options.add("comm.threads", &threads, "threads a rank; 0: the cores that the launcher gave it", {0, 4096});
}

}  // namespace hebm::comm
