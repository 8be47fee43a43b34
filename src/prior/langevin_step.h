// One Langevin step (Eq. 3, 13) with given noise, by plain tensor operations in any dtype: for
// comparisons with recorded chains. Chains that draw their own noise: langevin.h.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "prior/langevin.h"

namespace hebm::prior {

// c_y y + c_u u_{t+1} + c_g df/du + c_n n with each row's level's coefficients. y, u_next,
// gradient, noise [B, D]; t [B]. No autograd graph is kept.
at::Tensor langevin_step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient,
                         const at::Tensor& noise, const std::vector<StepCoefficients>& coefficients,
                         const std::vector<std::int64_t>& t);

}  // namespace hebm::prior
