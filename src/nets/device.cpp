#include "nets/device.h"
#include <ATen/Context.h>
#include <ATen/ops/from_blob.h>

namespace hebm::nets {
namespace {

bool graphs_on = true;

}  // namespace

void use_exact_arithmetic() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setDeterministicCuDNN(true);
}

void set_graphs(bool on) { graphs_on = on; }
bool graphs() { return graphs_on; }

template <class T> at::Tensor on_device(const std::vector<T>& values, at::Device device) {
  // The view only looks at the vector's memory. CUDA stages pageable memory before the call
  // returns, so the vector may go.
  const at::Tensor view = at::from_blob(
      const_cast<T*>(values.data()), {static_cast<std::int64_t>(values.size())}, c10::CppTypeToScalarType<T>::value);
  return device.is_cpu() ? view.clone() : view.to(device, /*non_blocking=*/true);
}
template at::Tensor on_device(const std::vector<float>&, at::Device);
template at::Tensor on_device(const std::vector<double>&, at::Device);
template at::Tensor on_device(const std::vector<std::int64_t>&, at::Device);

}  // namespace hebm::nets
