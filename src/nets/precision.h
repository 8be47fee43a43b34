// The precision of a chain's nets and decoder path (compute.chain_precision). u, the Gaussian
// terms, noise, sums and the loss are float32 in any case.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include "base/choice.h"

namespace hebm::nets {

// kBfloat16: matrix products of values rounded to bfloat16, summed in float32. kTf32: on a GPU,
// products of values rounded to 10 bits.
enum class Precision { kFloat32, kBfloat16, kTf32 };
constexpr std::array<Choice<Precision>, 3> choices_of(Precision) {
  return {{{"float32", Precision::kFloat32}, {"bfloat16", Precision::kBfloat16}, {"tf32", Precision::kTf32}}};
}

// Error(kUsage): not on this device, or a processor without instructions for it.
void require_precision(Precision precision, at::Device device);

// The type of a frozen path's matrices on the host.
constexpr at::ScalarType type_of_products(Precision precision) {
  return precision == Precision::kBfloat16 ? at::kBFloat16 : at::kFloat;
}

// While it lives, torch's own operators on a GPU compute in this precision; on the host it does
// nothing.
class GpuPrecision {
 public:
  GpuPrecision(Precision precision, at::Device device);
  ~GpuPrecision();
  GpuPrecision(const GpuPrecision&) = delete;
  GpuPrecision& operator=(const GpuPrecision&) = delete;
 private:
  bool tf32_ = false, autocast_ = false;
};

}  // namespace hebm::nets
