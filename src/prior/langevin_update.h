// The fused update of a Langevin step, noise included, on the host or a GPU: the host's vector loop
// and the GPU's kernel share their arithmetic (langevin_element.h). Nothing waits for the GPU.
#pragma once
#include <ATen/core/Tensor.h>
#include "prior/chains.h"
#include "prior/langevin.h"

namespace hebm::prior {

class LangevinUpdate {
 public:
  // coefficients by level, for all levels of the chains, which must outlive this object.
  LangevinUpdate(const Chains& chains, const std::vector<StepCoefficients>& coefficients);
  // y <- c_y y + c_u u_next + c_g gradient + c_n n, with the noise of step k = 0, 1, ... All [B, D]
  // float32, contiguous, on the device. On a GPU, k is counted in its memory.
  void step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient);
 private:
  void check_tensor(const at::Tensor& values, const char* name) const;
  void step_on_host(const StepArguments& arguments) const;

  const Chains& chains_;
  RandomKey key_;
  std::int64_t k_ = 0;
  at::Tensor factors_;   // [T, 4] float32 that hold StepFactors, on the device
  at::Tensor device_k_;  // [1] int64, on a GPU
};

// One step with given noise by plain tensor operations in any dtype, for comparisons with recorded
// chains: c_y y + c_u u_{t+1} + c_g df/du + c_n n. y, u_next, gradient, noise [B, D]; t [B].
at::Tensor langevin_step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient,
    const at::Tensor& noise, const std::vector<StepCoefficients>& coefficients, const std::vector<std::int64_t>& t);

}  // namespace hebm::prior
