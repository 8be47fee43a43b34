// Memory where the communicator under test sums gradients: the host's, or the GPU's for NCCL.
#pragma once
#include <span>
#include <vector>
#include "comm/communicator.h"

#ifdef HEBM_CUDA
#include "comm/cuda_event.h"
#endif

namespace hebm::comm {

template <class T> class GradientBuffer {
 public:
  GradientBuffer(Kind kind, std::size_t count, T value) : host_(count, value) {
    if (kind != Kind::kNccl) return;
#ifdef HEBM_CUDA
    check_cuda(cudaMalloc(&device_, count * sizeof(T)), "cudaMalloc");
    check_cuda(cudaMemcpy(device_, host_.data(), count * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
#endif
  }
  ~GradientBuffer() {
#ifdef HEBM_CUDA
    if (device_ != nullptr && cudaFree(device_) != cudaSuccess) std::fputs("cudaFree failed\n", stderr);
#endif
  }
  GradientBuffer(const GradientBuffer&) = delete;
  std::span<T> span() { return {device_ != nullptr ? device_ : host_.data(), host_.size()}; }
  const std::vector<T>& values() {
#ifdef HEBM_CUDA
    if (device_ != nullptr) {
      check_cuda(cudaMemcpy(host_.data(), device_, host_.size() * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    }
#endif
    return host_;
  }
 private:
  std::vector<T> host_;
  T* device_ = nullptr;
};

}  // namespace hebm::comm
