#include "comm/communicator.h"
#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <limits>
#include <optional>
#include "base/options.h"
#include "comm/launch_environment.h"
#include "comm/mpi_communicator.h"
#include "comm/nccl_communicator.h"
#include "comm/placement.h"
#include "comm/single_communicator.h"

namespace hebm::comm {
namespace {

struct Failure {
  ExitCode code;
  std::string message;
};

std::optional<Failure> run(const std::function<void()>& local) {
  try {
    local();
  } catch (const Error& error) {
    return Failure{error.code(), error.what()};
  } catch (const std::exception& error) {
    return Failure{ExitCode::kRuntime, error.what()};
  }
  return std::nullopt;
}

}  // namespace

void CommOptions::describe(Options& options) {
  options.add_choice("comm.kind", &kind, "how ranks talk; auto: single without a launcher, NCCL for GPUs, else MPI");
  options.add("comm.hang_timeout_s", &hang_timeout_s,
      "seconds that a collective may wait for a rank without a sign of life before all end with exit code 6; 0: 60 "
      "or 5 median updates, 600 where one rank works alone",
      {0, 1e6});
  options.add_choice("compute.device", &device,
      "where nets and chains are computed; auto: a GPU a rank where all ranks see one, else the CPU");
  options.add("compute.graphs", &graphs,
      "on a GPU: record a Langevin step as a CUDA graph and repeat it, the same bits in less time");
  options.add("compute.share_gpu", &share_gpu, "ranks of one machine may share a GPU (with comm.kind = mpi; slow)");
  options.add("comm.threads", &threads, "threads a rank; 0: the cores that the launcher gave it", {0, 4096});
}

std::unique_ptr<Communicator> make_communicator(const CommOptions& options) {
  const LaunchEnvironment launch = LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  const bool automatic = options.kind == Kind::kAuto;
  if (options.kind == Kind::kSingle || (automatic && !launch.launched)) return std::make_unique<SingleCommunicator>();
  check(options.kind != Kind::kNccl || options.device != Device::kCpu, ExitCode::kUsage,
      "comm.kind = nccl sums gradients in GPU memory, but compute.device = cpu: take comm.kind = mpi or another "
      "compute.device");
#ifdef HEBM_CUDA
  auto mpi = std::make_unique<MpiCommunicator>(options, launch);
  // auto: GPUs everywhere or nowhere, since gradients lie either here or there.
  const bool plain = automatic && (options.device == Device::kCpu || any(*mpi, num_gpus() == 0));
  if (options.kind == Kind::kMpi || plain) return mpi;
  return std::make_unique<NcclCommunicator>(std::move(mpi));
#else
  check(options.kind != Kind::kNccl, ExitCode::kEnvironment,
      "comm.kind = nccl, but this program is built without CUDA: use the `cuda` preset or mpi");
  return std::make_unique<MpiCommunicator>(options, launch);
#endif
}

void agree(Communicator& comm, const std::function<void()>& local) {
  const std::optional<Failure> failure = run(local);
  constexpr std::int64_t kNobody = std::numeric_limits<std::int64_t>::max();
  std::array<std::int64_t, 1> lowest = {failure ? comm.rank() : kNobody};
  comm.all_reduce(lowest, Op::kMin);
  if (lowest[0] == kNobody) return;
  const int failing = static_cast<int>(lowest[0]);
  const bool mine = failing == comm.rank();
  std::array<std::int64_t, 1> code = {mine ? static_cast<std::int64_t>(failure->code) : 0};
  comm.all_reduce(code, Op::kMax);  // exit codes are positive
  const std::vector<std::string> messages = comm.all_gather(mine ? std::string_view(failure->message) : "");
  const std::string& message = messages.at(static_cast<std::size_t>(failing));
  throw AgreedError(
      static_cast<ExitCode>(code[0]), comm.size() > 1 ? fmt::format("rank {}: {}", failing, message) : message);
}

void on_root(Communicator& comm, const std::function<void()>& work) {
  agree(comm, [&] {
    if (comm.is_root()) work();
  });
}

bool root_says(Communicator& comm, const std::function<bool()>& answer) {
  bool yes = false;
  on_root(comm, [&] { yes = answer(); });
  return any(comm, yes);
}

bool any(Communicator& comm, bool flag) {
  std::array<std::int64_t, 1> raised = {flag ? 1 : 0};
  comm.all_reduce(raised, Op::kMax);
  return raised[0] != 0;
}

}  // namespace hebm::comm
