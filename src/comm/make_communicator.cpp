#include <cstdlib>
#include "comm/communicator.h"
#include "comm/gpus.h"
#include "comm/launch_environment.h"
#include "comm/mpi_communicator.h"
#include "comm/nccl_communicator.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

std::unique_ptr<Communicator> make_nccl(
    [[maybe_unused]] const CommOptions& options, [[maybe_unused]] const LaunchEnvironment& launch) {
#ifdef HEBM_CUDA
  auto mpi = std::make_unique<MpiCommunicator>(options, launch);
  // auto: GPUs everywhere or nowhere, since gradients lie either here or there.
  if (options.kind == "auto" && (options.device == "cpu" || any(*mpi, num_gpus() == 0))) return mpi;
  return std::make_unique<NcclCommunicator>(std::move(mpi));
#else
  if (options.kind == "auto") return std::make_unique<MpiCommunicator>(options, launch);
  fail(
      ExitCode::kEnvironment, "comm.kind = nccl, but this program is built without CUDA: use the `cuda` preset or mpi");
#endif
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(const CommOptions& options) {
  const LaunchEnvironment launch = LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  if (options.kind == "single" || (options.kind == "auto" && !launch.launched)) {
    return std::make_unique<SingleCommunicator>();
  }
  if (options.kind == "mpi") return std::make_unique<MpiCommunicator>(options, launch);
  check(options.kind == "auto" || options.kind == "nccl", ExitCode::kUsage,
      "comm.kind = {}: must be auto, single, mpi or nccl", options.kind);
  check(options.kind == "auto" || options.device != "cpu", ExitCode::kUsage,
      "comm.kind = nccl sums gradients in GPU memory, but compute.device = cpu: take comm.kind = mpi or another "
      "compute.device");
  return make_nccl(options, launch);
}

}  // namespace hebm::comm
