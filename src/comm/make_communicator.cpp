#include <cstdlib>

#include "comm/communicator.h"
#include "comm/launch_environment.h"
#include "comm/mpi_communicator.h"
#include "comm/single_communicator.h"

namespace hebm::comm {

std::unique_ptr<Communicator> make_communicator(const CommOptions& options) {
  const LaunchEnvironment launch = LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  if (options.kind == "single" || (options.kind == "auto" && !launch.launched)) {
    return std::make_unique<SingleCommunicator>();
  }
  if (options.kind == "auto" || options.kind == "mpi") return std::make_unique<MpiCommunicator>(options, launch);
  check(options.kind == "nccl", ExitCode::kUsage, "comm.kind = {}: must be auto, single, mpi or nccl", options.kind);
  fail(ExitCode::kEnvironment, "comm.kind = nccl, but this program is built without CUDA: use the `cuda` preset or mpi");
}

}  // namespace hebm::comm
