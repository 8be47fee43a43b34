#include "train/level_sums.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace hebm::train {

LevelSums::LevelSums(std::size_t num_fields, std::int64_t num_levels, at::Device device)
    : sums_(at::zeros({static_cast<std::int64_t>(num_fields), num_levels},
                      at::TensorOptions(at::kDouble).device(device))),
      levels_(at::arange(num_levels, at::TensorOptions(at::kLong).device(device)).unsqueeze(1)) {}

void LevelSums::set_rows(const at::Tensor& t) { at_level_ = levels_.eq(t); }

void LevelSums::add(std::size_t field, const at::Tensor& values) {
  sums_.select(0, static_cast<std::int64_t>(field))
      .add_(at::where(at_level_, values.detach().to(at::kDouble), 0.0).sum(1));
}

}  // namespace hebm::train
