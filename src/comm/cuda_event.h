// What comm/ needs of CUDA: checked calls, and an event (without timing) that orders streams.
#pragma once
#ifdef HEBM_CUDA
#include <cuda_runtime_api.h>
#include <cstdio>
#include "base/error.h"

namespace hebm::comm {

inline void check_cuda(cudaError_t result, const char* function) {
  if (result == cudaSuccess) return;
  fail(ExitCode::kEnvironment, "{} failed: {}", function, cudaGetErrorString(result));
}

class CudaEvent {
 public:
  CudaEvent() { check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  ~CudaEvent() {
    if (cudaEventDestroy(event_) != cudaSuccess) std::fputs("cudaEventDestroy failed\n", stderr);
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  void make_wait(cudaStream_t stream) { check_cuda(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
  // Error(kEnvironment) where the GPU reports a failure of earlier work.
  bool reached() const {
    const cudaError_t result = cudaEventQuery(event_);
    if (result == cudaErrorNotReady) return false;
    check_cuda(result, "cudaEventQuery");
    return true;
  }
 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace hebm::comm
#endif
