// The chains of one micro-batch where they live, host or GPU: their noise and the fused update of a
// Langevin step. Nothing here waits for the GPU. The same numbers on both: the host's vector loop
// and the GPU's kernel share their arithmetic (langevin_element.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "prior/langevin.h"
#include "prior/langevin_element.h"

namespace hebm::prior {

class ChainRows {
 public:
  // t [B], or empty: 0; coefficients by level, or empty: for draw_normals() alone. Error(kRuntime):
  // a device without kernels (CUDA in a build without it), ids and levels that do not fit together.
  ChainRows(at::Device device, const RandomKey& key, const ChainIds& ids, const std::vector<std::int64_t>& t,
            const std::vector<StepCoefficients>& coefficients);

  std::int64_t count() const { return static_cast<std::int64_t>(rows_.size()); }
  // out [B, D] <- N(0, I), row b keyed by (ids[b], t[b]).
  void draw_normals(const at::Tensor& out) const;
  // y <- c_y y + c_u u_next + c_g gradient + c_n n, with the noise of step k = 0, 1, ... All [B, D]
  // float32, contiguous, on the device. On a GPU, k is counted in its memory.
  void step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient);

 private:
  void step_on_host(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient);
  void check_tensor(const at::Tensor& values, const char* name) const;

  at::Device device_;
  RandomKey key_;
  std::vector<ChainRow> rows_;
  std::int64_t k_ = 0;
  at::Tensor device_rows_;  // [B * sizeof(ChainRow)] bytes, on a GPU
  at::Tensor device_k_;     // [1] int64, on a GPU
};

}  // namespace hebm::prior
