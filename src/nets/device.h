// Host values as tensors on the compute device.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hebm::nets {

// A copy of the values, [n] of their type, on `device`. Nothing waits for a GPU: the copy is queued behind earlier work.
at::Tensor on_device(const std::vector<float>& values, at::Device device);
at::Tensor on_device(const std::vector<double>& values, at::Device device);
at::Tensor on_device(const std::vector<std::int64_t>& values, at::Device device);

}  // namespace hebm::nets
