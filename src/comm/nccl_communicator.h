// NCCL under the contract of communicator.h: gradient sums run on the GPU in a stream of their own,
// MPI bootstraps and carries everything else. Only in builds with HEBM_CUDA. Compiled and linked,
// never run: no machine of this project had a GPU.
#pragma once
#ifdef HEBM_CUDA
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <memory>
#include "comm/mpi_communicator.h"

namespace hebm::comm {

class NcclCommunicator final : public Communicator {
 public:
  // Collective. Makes the GPU of this rank's local number (placement.h) CUDA's current device.
  // Error(kEnvironment): NCCL versions differ (header, library, ranks), two ranks on one GPU.
  explicit NcclCommunicator(std::unique_ptr<MpiCommunicator> mpi);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return mpi_->rank(); }
  int size() const override { return mpi_->size(); }
  Kind kind() const override { return Kind::kNccl; }
  int node() const override { return mpi_->node(); }
  void all_reduce(Values values, Op op) override { mpi_->all_reduce(values, op); }
  // Starts after what was queued in CUDA's default stream.
  std::unique_ptr<Pending> start_sum(Values values, std::string_view name) override;
  void broadcast(std::span<std::byte> bytes, int root) override { mpi_->broadcast(bytes, root); }
  std::vector<std::string> all_gather(std::string_view mine) override { return mpi_->all_gather(mine); }
  std::vector<std::string> gather(std::string_view mine) override { return mpi_->gather(mine); }
  void barrier() override { mpi_->barrier(); }
  [[noreturn]] void abort(int exit_code) override { mpi_->abort(exit_code); }
 private:
  void choose_device();
  void check_versions();
  void connect();
  // True while NCCL is at work. Error(kPeer), after ncclCommAbort, where it reports a failure.
  bool in_progress(const Call& call);
  void check_nccl(ncclResult_t result, const char* function, const Call& call);

  std::unique_ptr<MpiCommunicator> mpi_;
  int exceptions_at_start_ = std::uncaught_exceptions();
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  bool broken_ = false;
  std::int64_t sum_calls_ = 0;
};

}  // namespace hebm::comm
#endif
