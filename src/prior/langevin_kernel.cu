#include "prior/langevin_element.h"

namespace hebm::prior {
namespace {

constexpr unsigned kThreads = 256, kMaxRowsOfGrid = 65535;

// x: blocks of four elements of a row; y: rows, in strides where there are more than a grid may
// have.
dim3 grid(std::int64_t count, std::int64_t dim) {
  const std::int64_t threads = (dim + 3) / 4;
  return {static_cast<unsigned>((threads + kThreads - 1) / kThreads),
      static_cast<unsigned>(count < kMaxRowsOfGrid ? count : kMaxRowsOfGrid), 1};
}

__global__ void langevin_step(StepArguments a, const std::int64_t* k) {
  const std::uint32_t block = blockIdx.x * kThreads + threadIdx.x;
  if (std::int64_t{4} * block >= a.dim) return;
  const auto step = static_cast<std::uint32_t>(*k);
  for (std::int64_t b = blockIdx.y; b < a.count; b += gridDim.y) langevin_block(a, b, block, step);
}

__global__ void normal_rows(float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key) {
  const std::uint32_t block = blockIdx.x * kThreads + threadIdx.x;
  if (std::int64_t{4} * block >= dim) return;
  for (std::int64_t b = blockIdx.y; b < count; b += gridDim.y) normal_block(out + b * dim, dim, block, rows[b], key);
}

}  // namespace

cudaError_t launch_langevin_step(const StepArguments& arguments, const std::int64_t* k, cudaStream_t stream) {
  if (arguments.count == 0 || arguments.dim == 0) return cudaSuccess;
  langevin_step<<<grid(arguments.count, arguments.dim), kThreads, 0, stream>>>(arguments, k);
  return cudaGetLastError();
}

cudaError_t launch_normal_rows(
    float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key, cudaStream_t stream) {
  if (count == 0 || dim == 0) return cudaSuccess;
  normal_rows<<<grid(count, dim), kThreads, 0, stream>>>(out, count, dim, rows, key);
  return cudaGetLastError();
}

}  // namespace hebm::prior
