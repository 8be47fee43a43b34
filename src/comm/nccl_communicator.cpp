#ifdef HEBM_CUDA
#include "comm/nccl_communicator.h"
#include <cstdio>
#include "comm/backoff.h"
#include "comm/cuda_event.h"
#include "comm/end_process.h"
#include "comm/gpus.h"

namespace hebm::comm {
namespace {

constexpr double kEndTimeout_s = 20;

std::string version_text(int code) { return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100); }

}  // namespace

class NcclPending final : public Pending {
 public:
  NcclPending(NcclCommunicator& comm, Call call, std::string_view name) : comm_(comm), name_(name), call_(call) {
    call_.name = name_;
  }
  ~NcclPending() override {
    if (!started_ || comm_.broken_) return;
    comm_.broken_ = true;
    if (std::uncaught_exceptions() == comm_.exceptions_at_start_) {
      fmt::print(stderr, "rank {}: {} was started but never waited for\n", comm_.rank(), call_.describe());
    }
  }
  NcclPending(const NcclPending&) = delete;
  NcclPending& operator=(const NcclPending&) = delete;

  void start(void* values, ncclDataType_t type) {
    ready_.record(comm_.compute_);
    ready_.make_wait(comm_.stream_);
    comm_.check_nccl(
        ncclAllReduce(values, values, static_cast<std::size_t>(call_.count), type, ncclSum, comm_.comm_, comm_.stream_),
        "ncclAllReduce", call_);
    done_.record(comm_.stream_);
    started_ = true;
  }
  void wait() override {
    if (!started_) return;
    comm_.poll(call_, [&] { return done_.reached(); });
    started_ = false;
  }
 private:
  NcclCommunicator& comm_;
  std::string name_;
  Call call_;
  CudaEvent ready_, done_;
  bool started_ = false;
};

NcclCommunicator::NcclCommunicator(std::unique_ptr<MpiCommunicator> mpi) : mpi_(std::move(mpi)) {
  check_versions();
  choose_device();
  connect();
}

NcclCommunicator::~NcclCommunicator() {
  // As with MPI: nothing that other ranks would have to join while an exception or a failure is on
  // its way out.
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
    check(gpus > 0, ExitCode::kEnvironment, "no GPU on {}: use --comm.kind mpi, or repair the driver", mpi_->host());
    device_ = gpu_of_rank("cuda", mpi_->local_rank(), gpus, true, mpi_->host());
    address = take_gpu(device_);
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

template <class Done> void NcclCommunicator::poll(const Call& call, Done done) {
  Backoff backoff(true);  // a GPU rank has cores to itself
  while (in_progress(call) || !done()) {
    if (backoff.waited_s() > mpi_->hang_timeout_s()) {
      broken_ = true;
      mpi_->time_out(call, backoff.waited_s());
    }
    backoff.pause();
  }
}

void NcclCommunicator::check_nccl(ncclResult_t result, const char* function, const Call& call) {
  if (result != ncclSuccess && result != ncclInProgress) {
    broken_ = true;
    fail(ExitCode::kPeer, "{}: {} failed: {} ({})", call.describe(), function, ncclGetErrorString(result),
        ncclGetLastError(comm_));
  }
  poll(call, [] { return true; });
}

std::unique_ptr<Pending> NcclCommunicator::start(void* values, ncclDataType_t type, Call call, std::string_view name) {
  call.number = ++sum_calls_;
  auto pending = std::make_unique<NcclPending>(*this, call, name);
  if (broken_) {
    fail(ExitCode::kPeer, "{}: not started, since an earlier operation failed on this rank", call.describe());
  }
  if (call.count > 0) pending->start(values, type);
  return pending;
}

std::unique_ptr<Pending> NcclCommunicator::start_sum(std::span<float> values, std::string_view name) {
  return start(values.data(), ncclFloat32, {.kind = Call::Kind::kSum, .type = 'f', .count = std::ssize(values)}, name);
}

std::unique_ptr<Pending> NcclCommunicator::start_sum(std::span<std::int64_t> values, std::string_view name) {
  return start(values.data(), ncclInt64, {.kind = Call::Kind::kSum, .type = 'i', .count = std::ssize(values)}, name);
}

}  // namespace hebm::comm
#endif
