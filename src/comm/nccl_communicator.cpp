#ifdef HEBM_CUDA
#include "comm/nccl_communicator.h"
#include <cstdio>
#include "base/host.h"
#include "comm/cuda_event.h"
#include "comm/end_process.h"
#include "comm/placement.h"

namespace hebm::comm {
namespace {

std::string version_text(int code) { return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100); }

}  // namespace

NcclCommunicator::NcclCommunicator(std::unique_ptr<MpiCommunicator> mpi) : mpi_(std::move(mpi)) {
  check_versions();
  choose_device();
  connect();
}

NcclCommunicator::~NcclCommunicator() {
  // As with MPI: nothing that others would have to join while a failure is on its way out.
  if (broken_ || std::uncaught_exceptions() > exceptions_at_start_ || comm_ == nullptr) return;
  const Deadline deadline("ncclCommDestroy", kEndTimeout_s, rank(), static_cast<int>(ExitCode::kPeer));
  if (ncclCommDestroy(comm_) != ncclSuccess) fmt::print(stderr, "rank {}: ncclCommDestroy failed\n", rank());
  if (cudaStreamDestroy(stream_) != cudaSuccess) fmt::print(stderr, "rank {}: cudaStreamDestroy failed\n", rank());
}

void NcclCommunicator::check_versions() {
  int version = 0;
  agree(*mpi_, [&] {
    const ncclResult_t result = ncclGetVersion(&version);
    check(result == ncclSuccess, ExitCode::kEnvironment, "ncclGetVersion failed: {}", ncclGetErrorString(result));
    check(version == NCCL_VERSION_CODE, ExitCode::kEnvironment,
        "built with NCCL {} but libnccl.so of version {} was loaded: only one of them may be in LD_LIBRARY_PATH",
        version_text(NCCL_VERSION_CODE), version_text(version));
  });
  const std::vector<std::string> versions = mpi_->all_gather(version_text(version));
  for (std::size_t r = 1; r < versions.size(); ++r) {
    check(versions[r] == versions[0], ExitCode::kEnvironment, "rank 0 has NCCL {} but rank {} has {}", versions[0], r,
        versions[r]);
  }
}

void NcclCommunicator::choose_device() {
  std::string address;
  agree(*mpi_, [&] {
    const int gpus = num_gpus();
    check(gpus > 0, ExitCode::kEnvironment, "no GPU on {}: use --comm.kind mpi, or repair the driver", host_name());
    address = take_gpu(gpu_of_rank(Device::kCuda, mpi_->local_rank(), gpus, true, host_name()));
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  });
  check_gpus_apart(*mpi_, address);
}

void NcclCommunicator::connect() {
  ncclUniqueId id{};
  agree(*mpi_, [&] {
    if (!is_root()) return;
    const ncclResult_t result = ncclGetUniqueId(&id);
    check(result == ncclSuccess, ExitCode::kEnvironment, "ncclGetUniqueId failed: {}", ncclGetErrorString(result));
  });
  mpi_->broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // every wait is ours, so it has our time-out
  const Call call{.kind = Call::Kind::kSum, .name = "(start of NCCL)"};
  check_nccl(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config), "ncclCommInitRankConfig", call);
}

bool NcclCommunicator::in_progress(const Call& call) {
  ncclResult_t state = ncclSuccess;
  ncclResult_t result = ncclCommGetAsyncError(comm_, &state);
  if (result == ncclSuccess) result = state;
  if (result == ncclSuccess || result == ncclInProgress) return result == ncclInProgress;
  broken_ = true;
  const std::string reason = fmt::format("{} ({})", ncclGetErrorString(result), ncclGetLastError(comm_));
  const Deadline deadline("ncclCommAbort", kEndTimeout_s, rank(), static_cast<int>(ExitCode::kPeer));
  if (ncclCommAbort(comm_) != ncclSuccess) fmt::print(stderr, "rank {}: ncclCommAbort failed\n", rank());
  fail(ExitCode::kPeer, "{}: NCCL failed: {}; NCCL_DEBUG=INFO says more", call.describe(), reason);
}

void NcclCommunicator::check_nccl(ncclResult_t result, const char* function, const Call& call) {
  if (result != ncclSuccess && result != ncclInProgress) {
    broken_ = true;
    fail(ExitCode::kPeer, "{}: {} failed: {} ({})", call.describe(), function, ncclGetErrorString(result),
        ncclGetLastError(comm_));
  }
  mpi_->poll(call, true, [&] { return !in_progress(call); });
}

std::unique_ptr<Pending> NcclCommunicator::start_sum(Values values, std::string_view name) {
  const Call call = Call::sum(values, ++sum_calls_, name);
  if (broken_) {
    fail(ExitCode::kPeer, "{}: not started, since an earlier operation failed on this rank", call.describe());
  }
  std::function<void()> finish;
  if (values.count > 0) {
    const ncclDataType_t type = values.type == 'f' ? ncclFloat32 : values.type == 'd' ? ncclFloat64 : ncclInt64;
    CudaEvent ready;
    ready.record(nullptr);
    ready.make_wait(stream_);
    check_nccl(
        ncclAllReduce(values.data, values.data, static_cast<std::size_t>(values.count), type, ncclSum, comm_, stream_),
        "ncclAllReduce", call);
    const auto done = std::make_shared<CudaEvent>();
    done->record(stream_);
    finish = [this, call, done] { mpi_->poll(call, true, [&] { return !in_progress(call) && done->reached(); }); };
  }
  return std::make_unique<StartedSum>(fmt::format("rank {}: {}", rank(), call.describe()), &broken_, std::move(finish));
}

}  // namespace hebm::comm
#endif
