// Sums over the images of an update, by field and diffusion step t (what has no t stands at 0):
// gathered where the images are and read once, so that statistics never make a GPU wait.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <vector>
#include "comm/communicator.h"

namespace hebm::train {

class Recorder {
 public:
  Recorder(std::size_t num_fields, std::int64_t num_levels, at::Device device);
  void zero() { sums_.zero_(); }
  // The levels of the rows that add_rows() gets from here on; t [B] int64, on the device.
  void set_rows(const at::Tensor& t) { at_level_ = levels_.eq(t); }
  // sums[field][t[b]] += values[b]; values [B]. What is not finite stays at its level; the order of
  // additions is fixed.
  void add_rows(std::size_t field, const at::Tensor& values);
  // sums[field][0] += value; one number.
  void add(std::size_t field, const at::Tensor& value);
  void add(std::size_t field, double value);
  // Sums over ranks what was recorded, for at(), and `more` in place. One exchange, of an update.
  void reduce(comm::Communicator& comm, std::vector<double>& more);
  double at(std::size_t field, std::size_t t = 0) const { return host_.at(field * num_levels_ + t); }
 private:
  std::size_t num_levels_;
  at::Tensor sums_;           // [fields, T] float64
  at::Tensor levels_;         // [T, 1] 0, 1, ...
  at::Tensor at_level_;       // [T, B] bool
  std::vector<double> host_;  // of all ranks
};

}  // namespace hebm::train
