// The same on a GPU: one thread a block of four elements (langevin_element.h). All pointers are GPU
// memory. Builds with HEBM_CUDA only; compiled and linked, never run: no machine of this project
// had a GPU.
#pragma once
#ifdef HEBM_CUDA
#include <cuda_runtime_api.h>
#include <cstdint>
#include "prior/langevin_element.h"

namespace hebm::prior {

// *k is read on the GPU when the kernel runs, so a captured graph that also counts it up draws new
// noise at every replay. Both return the launch's error.
cudaError_t launch_langevin_step(const StepArguments& arguments, const std::int64_t* k, cudaStream_t stream);
// out [count, dim] <- N(0, I).
cudaError_t launch_normal_rows(
    float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key, cudaStream_t stream);

// Error(kEnvironment) naming the kernel that could not be launched (chains.cpp).
void check_launch(cudaError_t result, const char* kernel);

}  // namespace hebm::prior
#endif
