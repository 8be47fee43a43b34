#include "train/recorder.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace hebm::train {

Recorder::Recorder(std::size_t num_fields, std::int64_t num_levels, at::Device device)
    : num_levels_(static_cast<std::size_t>(num_levels)),
      sums_(at::zeros(
          {static_cast<std::int64_t>(num_fields), num_levels}, at::TensorOptions(at::kDouble).device(device))),
      levels_(at::arange(num_levels, at::TensorOptions(at::kLong).device(device)).unsqueeze(1)) {}

void Recorder::add_rows(std::size_t field, const at::Tensor& values) {
  sums_.select(0, static_cast<std::int64_t>(field))
      .add_(at::where(at_level_, values.detach().to(at::kDouble), 0.0).sum(1));
}

void Recorder::add(std::size_t field, const at::Tensor& value) {
  sums_.select(0, static_cast<std::int64_t>(field)).select(0, 0).add_(value.detach().to(at::kDouble));
}

void Recorder::add(std::size_t field, double value) {
  sums_.select(0, static_cast<std::int64_t>(field)).select(0, 0).add_(value);
}

void Recorder::reduce(comm::Communicator& comm, std::vector<double>& more) {
  const at::Tensor here = sums_.flatten().to(at::kCPU);
  const auto count = static_cast<std::size_t>(here.numel());
  host_.assign(here.const_data_ptr<double>(), here.const_data_ptr<double>() + count);
  host_.insert(host_.end(), more.begin(), more.end());
  comm.all_reduce(std::span<double>(host_), comm::Op::kSum);
  more.assign(host_.begin() + static_cast<std::ptrdiff_t>(count), host_.end());
  host_.resize(count);
}

}  // namespace hebm::train
