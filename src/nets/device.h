// Host values as tensors on the compute device.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>

namespace hebm::nets {

// For the whole process: float32 stays float32 on a GPU (no TF32), and the same program gives the
// same bits again. On a CPU it changes nothing.
void use_exact_arithmetic();

// Whether steps that repeat may be recorded as CUDA graphs (compute.graphs); true at the start.
void set_graphs(bool on);
bool graphs();

// A copy of the values, [n] of their type, on `device`. Nothing waits for a GPU: the copy is queued
// behind earlier work.
template <class T> at::Tensor on_device(const std::vector<T>& values, at::Device device);

}  // namespace hebm::nets
