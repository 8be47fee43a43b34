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
  // Collective. Takes the GPU of this rank's local number (gpus.h) and makes it CUDA's current
  // device.
  // Error(kEnvironment): header and library differ, ranks have different NCCL versions, two ranks
  // on one GPU.
  explicit NcclCommunicator(std::unique_ptr<MpiCommunicator> mpi);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return mpi_->rank(); }
  int size() const override { return mpi_->size(); }
  std::string_view kind() const override { return "nccl"; }
  int node() const override { return mpi_->node(); }
  int device() const { return device_; }
  // The stream that fills gradient buffers (default: CUDA's default stream): a sum starts after
  // what was queued there.
  void set_compute_stream(cudaStream_t stream) { compute_ = stream; }

  void all_reduce(std::span<float> values, Op op) override { mpi_->all_reduce(values, op); }
  void all_reduce(std::span<double> values, Op op) override { mpi_->all_reduce(values, op); }
  void all_reduce(std::span<std::int64_t> values, Op op) override { mpi_->all_reduce(values, op); }
  std::unique_ptr<Pending> start_sum(std::span<float> values, std::string_view name) override;
  std::unique_ptr<Pending> start_sum(std::span<std::int64_t> values, std::string_view name) override;
  void broadcast(std::span<std::byte> bytes, int root) override { mpi_->broadcast(bytes, root); }
  std::vector<std::string> all_gather(std::string_view mine) override { return mpi_->all_gather(mine); }
  std::vector<std::string> gather(std::string_view mine) override { return mpi_->gather(mine); }
  void barrier() override { mpi_->barrier(); }
  [[noreturn]] void abort(int exit_code) override { mpi_->abort(exit_code); }
 private:
  friend class NcclPending;
  void choose_device();
  void check_versions();
  void connect();
  std::unique_ptr<Pending> start(void* values, ncclDataType_t type, Call call, std::string_view name);
  // Throws Error(kPeer), after ncclCommAbort, where NCCL reports a failure; true while it is still
  // at work.
  bool in_progress(const Call& call);
  void check_nccl(ncclResult_t result, const char* function, const Call& call);
  // Polls done() with the time-out of all waits.
  template <class Done> void poll(const Call& call, Done done);

  std::unique_ptr<MpiCommunicator> mpi_;
  int exceptions_at_start_ = std::uncaught_exceptions();
  int device_ = 0;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr, compute_ = nullptr;
  bool broken_ = false;
  std::int64_t sum_calls_ = 0;
};

}  // namespace hebm::comm
#endif
