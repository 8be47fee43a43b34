// Sums over the images of an update by diffusion step t, gathered where the images are and read
// once: statistics never make a GPU wait.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hebm::train {

class LevelSums {
 public:
  LevelSums(std::size_t num_fields, std::int64_t num_levels, at::Device device);
  void zero() { sums_.zero_(); }
  // The levels of the rows that add() gets from here on; t [B] int64, on the device.
  void set_rows(const at::Tensor& t);
  // sums[field][t[b]] += values[b]; values [B]. What is not finite stays at its level; the order of
  // additions is fixed.
  void add(std::size_t field, const at::Tensor& values);
  const at::Tensor& sums() const { return sums_; }  // [fields, T] float64

 private:
  at::Tensor sums_;
  at::Tensor levels_;    // [T, 1] 0, 1, ...
  at::Tensor at_level_;  // [T, B] bool
};

}  // namespace hebm::train
