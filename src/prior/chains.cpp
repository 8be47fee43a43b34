#include "prior/chains.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#ifdef HEBM_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "nets/device.h"

namespace hebm::prior {

#ifdef HEBM_CUDA
void check_launch(cudaError_t result, const char* kernel) {
  check(result == cudaSuccess, ExitCode::kEnvironment, "{}: the GPU refused the kernel: {}", kernel,
      cudaGetErrorString(result));
}
#endif

ChainIds chain_ids(std::uint64_t seed, std::int64_t first, std::int64_t count) {
  ChainIds ids{{}, std::vector<std::uint32_t>(static_cast<std::size_t>(count), 0), seed};
  for (std::int64_t b = first; b < first + count; ++b) ids.item.push_back(static_cast<std::uint32_t>(b));
  return ids;
}

Chains::Chains(const ChainIds& ids, std::int64_t level, at::Device device)
    : Chains(ids, std::vector<std::int64_t>(ids.item.size(), level), device) {}

Chains::Chains(const ChainIds& ids, const std::vector<std::int64_t>& levels, at::Device device)
    : seed_(ids.seed), attempt_(ids.attempt), levels_(levels) {
  check(ids.visit.size() == ids.item.size() && levels.size() == ids.item.size(), ExitCode::kRuntime,
      "chains: {} items, {} visits, {} levels", ids.item.size(), ids.visit.size(), levels.size());
#ifdef HEBM_CUDA
  check(device.is_cpu() || device.is_cuda(), ExitCode::kRuntime,
      "chains on {}: there are kernels for the CPU and for CUDA", device.str());
#else
  check(device.is_cpu(), ExitCode::kRuntime,
      "chains on {}: this program is built without CUDA and has kernels for the CPU alone", device.str());
#endif
  static_assert(sizeof(ChainRow) == 3 * sizeof(std::int32_t));
  const at::Tensor host = at::empty({ids.count(), 3}, at::kInt);
  auto* const rows = static_cast<ChainRow*>(host.mutable_data_ptr());
  for (std::size_t b = 0; b < levels.size(); ++b) {
    rows[b] = {ids.item[b], ids.visit[b], static_cast<std::uint32_t>(levels[b])};
    check_counter(counter_of(rows[b], 0), 0);
  }
  rows_ = host.to(device, /*non_blocking=*/true);
  t_ = rows_.select(1, 2).to(at::kLong);
}

std::vector<at::Tensor> Chains::by_level(const std::vector<Table>& tables) const {
  std::vector<float> values;  // [tables][levels]
  std::int64_t num_levels = 0;
  for (const auto t : levels_) num_levels = std::max(num_levels, t + 1);
  for (const auto& [table, shift] : tables) {
    for (std::int64_t t = shift; t < num_levels + shift; ++t)
      values.push_back(static_cast<float>(table.at(static_cast<std::size_t>(t))));
  }
  return nets::on_device(values, device()).view({-1, num_levels, 1}).index_select(1, t_).unbind(0);
}

at::Tensor Chains::normals(Purpose purpose, std::int64_t dim) const {
  const at::Tensor out = at::empty({count(), dim}, at::TensorOptions(at::kFloat).device(device()));
  float* const data = out.mutable_data_ptr<float>();
  if (device().is_cpu()) {
    at::parallel_for(0, count(), rows_at_once(dim), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b)
        fill_normal({data + b * dim, static_cast<std::size_t>(dim)}, key(purpose), counter_of(rows()[b], 0));
    });
    return out;
  }
#ifdef HEBM_CUDA
  const c10::cuda::CUDAGuard guard(device());
  check_counter({}, static_cast<std::uint64_t>(dim));
  check_launch(
      launch_normal_rows(data, count(), dim, rows(), kernel_key(key(purpose)), c10::cuda::getCurrentCUDAStream()),
      "normal_rows");
#endif
  return out;
}

at::Tensor prior_noise(const ChainIds& ids, std::int64_t dim, at::Device device) {
  return Chains(ids, 0, device).normals(Purpose::kPriorNoise, dim);
}

std::vector<std::int64_t> choose_proposals(const at::Tensor& log_weights, const std::vector<double>& uniform) {
  const at::Tensor by_row = log_weights.to(at::kCPU, at::kDouble).t().contiguous();  // [B, M]
  const std::int64_t count = by_row.size(1);
  check(by_row.size(0) == static_cast<std::int64_t>(uniform.size()) && count > 0, ExitCode::kRuntime,
      "resampling: weights of {} rows, {} random numbers", by_row.size(0), uniform.size());
  std::vector<std::int64_t> out;
  std::vector<double> up_to(static_cast<std::size_t>(count));
  for (std::size_t b = 0; b < uniform.size(); ++b) {
    const double* row = by_row.const_data_ptr<double>() + static_cast<std::int64_t>(b) * count;
    const double largest = *std::max_element(row, row + count);
    double sum = 0;
    for (std::size_t m = 0; m < up_to.size(); ++m) {
      check(std::isfinite(row[m]), ExitCode::kDiverged,
          "resampling: the weight of proposal {} of row {} of the chunk is {}; train the prior again with a smaller "
          "train.learning_rate",
          m, b, row[m]);
      up_to[m] = sum += std::exp(row[m] - largest);
    }
    const auto found = std::upper_bound(up_to.begin(), up_to.end(), uniform[b] * sum);
    out.push_back(std::min<std::int64_t>(found - up_to.begin(), count - 1));  // rounding of the product
  }
  return out;
}

std::vector<double> choice_uniforms(const ChainIds& ids, std::int64_t t) {
  std::vector<double> out;
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    const std::uint32_t word = draw_u32(ids.key(Purpose::kProposal),
        {.item = ids.item[b], .visit = ids.visit[b], .t = static_cast<std::uint32_t>(t), .k = 1});
    out.push_back(std::ldexp(static_cast<double>(word), -32));
  }
  return out;
}

}  // namespace hebm::prior
