#include "prior/langevin_kernel.h"

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

__global__ void langevin_step(float* y, const float* u_next, const float* gradient, std::int64_t count,
                              std::int64_t dim, const ChainRow* rows, const std::int64_t* k, StreamKey key) {
  const std::uint32_t block = blockIdx.x * kThreads + threadIdx.x;
  if (std::int64_t{4} * block >= dim) return;
  const auto step = static_cast<std::uint32_t>(*k);
  for (std::int64_t b = blockIdx.y; b < count; b += gridDim.y) {
    langevin_block(y + b * dim, u_next + b * dim, gradient + b * dim, dim, block, rows[b], step, key);
  }
}

__global__ void normal_rows(float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key) {
  const std::uint32_t block = blockIdx.x * kThreads + threadIdx.x;
  if (std::int64_t{4} * block >= dim) return;
  for (std::int64_t b = blockIdx.y; b < count; b += gridDim.y) normal_block(out + b * dim, dim, block, rows[b], key);
}

}  // namespace

cudaError_t launch_langevin_step(float* y, const float* u_next, const float* gradient, std::int64_t count,
                                 std::int64_t dim, const ChainRow* rows, const std::int64_t* k, StreamKey key,
                                 cudaStream_t stream) {
  if (count == 0 || dim == 0) return cudaSuccess;
  langevin_step<<<grid(count, dim), kThreads, 0, stream>>>(y, u_next, gradient, count, dim, rows, k, key);
  return cudaGetLastError();
}

cudaError_t launch_normal_rows(float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key,
                               cudaStream_t stream) {
  if (count == 0 || dim == 0) return cudaSuccess;
  normal_rows<<<grid(count, dim), kThreads, 0, stream>>>(out, count, dim, rows, key);
  return cudaGetLastError();
}

}  // namespace hebm::prior
