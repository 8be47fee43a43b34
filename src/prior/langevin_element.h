// One Langevin step of four neighbouring elements of one chain, noise included (Eq. 13 in Eq. 3):
// what a thread of langevin_kernel.cu does, written for host and device so that a test compares it
// with the host's loop bit by bit.
#pragma once
#ifdef HEBM_CUDA
#include <cuda_runtime_api.h>
#endif

#include <cstdint>
#include "base/random_stream.h"

namespace hebm::prior {

// A chain as its noise knows it: who it is and at which level.
struct ChainRow {
  std::uint32_t item, visit, t;
};

// The coefficients of a level (StepCoefficients).
struct StepFactors {
  float y, u_next, gradient, noise;
};

struct StreamKey {
  std::uint32_t k0, k1;  // stream_key() of base/random.h
};

// A step of all chains of a micro-batch, where they live.
struct StepArguments {
  float* y;
  const float *u_next, *gradient;  // like y [count, dim]
  std::int64_t count, dim;
  const ChainRow* rows;        // [count]
  const StepFactors* factors;  // [T]
  StreamKey key;
};

// c_y y + c_u u_{t+1} + c_g df/du + c_n n.
HEBM_HOST_DEVICE float langevin_element(const StepFactors& c, float y, float u_next, float gradient, float noise) {
  return c.y * y + c.u_next * u_next + c.gradient * gradient + c.noise * noise;
}

// Elements 4 block .. 4 block + 3 of the row's noise n of step k; element e equals fill_normal's.
HEBM_HOST_DEVICE detail::FourFloats row_normals(
    const ChainRow& row, std::uint32_t k, std::uint32_t block, StreamKey key) {
  return detail::normals_of(
      detail::philox(detail::counter_words(block, row.item, row.visit, row.t, k, 0), key.k0, key.k1));
}

// Writes what `make(e, n_e)` gives for those elements of a row of `dim` to row[e].
template <class Make> HEBM_HOST_DEVICE void for_block(
    float* row, std::int64_t dim, std::uint32_t block, const detail::FourFloats& n, const Make& make) {
  const std::int64_t e = std::int64_t{4} * block;
  row[e] = make(e, n.e0);
  if (e + 1 < dim) row[e + 1] = make(e + 1, n.e1);
  if (e + 2 < dim) row[e + 2] = make(e + 2, n.e2);
  if (e + 3 < dim) row[e + 3] = make(e + 3, n.e3);
}

// The block's part of step k of chain b.
HEBM_HOST_DEVICE void langevin_block(const StepArguments& a, std::int64_t b, std::uint32_t block, std::uint32_t k) {
  const ChainRow row = a.rows[b];
  const StepFactors factors = a.factors[row.t];
  float* y = a.y + b * a.dim;
  const float* u_next = a.u_next + b * a.dim;
  const float* gradient = a.gradient + b * a.dim;
  for_block(y, a.dim, block, row_normals(row, k, block, a.key),
      [&](std::int64_t e, float noise) { return langevin_element(factors, y[e], u_next[e], gradient[e], noise); });
}

// The block's part of out[dim] <- N(0, I), of k = 0.
HEBM_HOST_DEVICE void normal_block(
    float* out, std::int64_t dim, std::uint32_t block, const ChainRow& row, StreamKey key) {
  for_block(out, dim, block, row_normals(row, 0, block, key), [](std::int64_t, float noise) { return noise; });
}

#ifdef HEBM_CUDA
// The same on a GPU (langevin_kernel.cu): one thread a block. All pointers are GPU memory; both
// return the launch's error. *k is read when the kernel runs, so a captured graph that also counts
// it up draws new noise at every replay.
cudaError_t launch_langevin_step(const StepArguments& arguments, const std::int64_t* k, cudaStream_t stream);
// out [count, dim] <- N(0, I).
cudaError_t launch_normal_rows(
    float* out, std::int64_t count, std::int64_t dim, const ChainRow* rows, StreamKey key, cudaStream_t stream);
// Error(kEnvironment) naming the kernel that could not be launched (chains.cpp).
void check_launch(cudaError_t result, const char* kernel);
#endif

}  // namespace hebm::prior
