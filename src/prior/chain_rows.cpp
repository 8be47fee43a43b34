#include "prior/chain_rows.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#ifdef HEBM_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "prior/langevin_kernel.h"
#endif

#include "base/error.h"

namespace hebm::prior {
namespace {

RandomCounter counter_of(const ChainRow& row, std::int64_t k) {
  return {.item = row.item, .visit = row.visit, .t = row.t, .k = static_cast<std::uint32_t>(k)};
}

std::int64_t rows_at_once(std::int64_t dim) { return 1 + 32768 / dim; }

#ifdef HEBM_CUDA
StreamKey kernel_key(const RandomKey& key) {
  const auto words = stream_key(key);
  return {words[0], words[1]};
}

const ChainRow* rows_in(const at::Tensor& bytes) { return static_cast<const ChainRow*>(bytes.const_data_ptr()); }

void check_launch(cudaError_t result, const char* kernel) {
  check(result == cudaSuccess, ExitCode::kEnvironment, "{}: the GPU refused the kernel: {}", kernel,
        cudaGetErrorString(result));
}
#endif

}  // namespace

ChainRows::ChainRows(at::Device device, const RandomKey& key, const ChainIds& ids, const std::vector<std::int64_t>& t,
                     const std::vector<StepCoefficients>& coefficients)
    : device_(device), key_(key) {
  check(ids.visit.size() == ids.item.size() && (t.empty() || t.size() == ids.item.size()), ExitCode::kRuntime,
        "chains: {} items, {} visits, {} levels", ids.item.size(), ids.visit.size(), t.size());
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    ChainRow row{ids.item[b], ids.visit[b], t.empty() ? 0 : static_cast<std::uint32_t>(t[b]), 0, 0, 0, 0};
    if (!coefficients.empty()) {
      const StepCoefficients& c = coefficients.at(row.t);
      row.y = static_cast<float>(c.y);
      row.u_next = static_cast<float>(c.u_next);
      row.gradient = static_cast<float>(c.gradient);
      row.noise = static_cast<float>(c.noise);
    }
    rows_.push_back(row);
  }
  if (device.is_cpu()) return;
#ifdef HEBM_CUDA
  check(device.is_cuda(), ExitCode::kRuntime, "chains on {}: there are kernels for the CPU and for CUDA", device.str());
  for (const ChainRow& row : rows_) check_counter(counter_of(row, 0), 0);
  const at::Tensor host =
      at::from_blob(rows_.data(), {static_cast<std::int64_t>(rows_.size() * sizeof(ChainRow))}, at::kByte);
  device_rows_ = host.to(device, /*non_blocking=*/true);
  device_k_ = at::zeros({1}, at::TensorOptions(at::kLong).device(device));
#else
  fail(ExitCode::kRuntime, "chains on {}: this program is built without CUDA and has kernels for the CPU alone",
       device.str());
#endif
}

void ChainRows::check_tensor(const at::Tensor& values, const char* name) const {
  check(values.dim() == 2 && values.size(0) == count() && values.is_contiguous() &&
            values.scalar_type() == at::kFloat && values.device() == device_,
        ExitCode::kRuntime, "chains: {}: expected {} contiguous rows of float32 on {}, got {} rows of {} on {}", name,
        count(), device_.str(), values.dim() > 0 ? values.size(0) : 0, c10::toString(values.scalar_type()),
        values.device().str());
}

void ChainRows::draw_normals(const at::Tensor& out) const {
  check_tensor(out, "noise");
  const std::int64_t dim = out.size(1);
  if (device_.is_cpu()) {
    float* data = out.mutable_data_ptr<float>();
    at::parallel_for(0, count(), rows_at_once(dim), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        fill_normal({data + b * dim, static_cast<std::size_t>(dim)}, key_,
                    counter_of(rows_[static_cast<std::size_t>(b)], 0));
      }
    });
    return;
  }
#ifdef HEBM_CUDA
  const c10::cuda::CUDAGuard guard(device_);
  check_counter({}, static_cast<std::uint64_t>(dim));
  check_launch(launch_normal_rows(out.mutable_data_ptr<float>(), count(), dim, rows_in(device_rows_), kernel_key(key_),
                                  c10::cuda::getCurrentCUDAStream()),
               "normal_rows");
#endif
}

void ChainRows::step(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient) {
  check_tensor(y, "y");
  check_tensor(u_next, "u_{t+1}");
  check_tensor(gradient, "gradient");
  if (device_.is_cpu()) {
    step_on_host(y, u_next, gradient);
  } else {
#ifdef HEBM_CUDA
    const c10::cuda::CUDAGuard guard(device_);
    check_counter({.k = static_cast<std::uint32_t>(k_)}, static_cast<std::uint64_t>(y.size(1)));
    check_launch(launch_langevin_step(y.mutable_data_ptr<float>(), u_next.const_data_ptr<float>(),
                                      gradient.const_data_ptr<float>(), count(), y.size(1), rows_in(device_rows_),
                                      device_k_.const_data_ptr<std::int64_t>(), kernel_key(key_),
                                      c10::cuda::getCurrentCUDAStream()),
                 "langevin_step");
    device_k_.add_(1);
#endif
  }
  ++k_;
}

void ChainRows::step_on_host(const at::Tensor& y, const at::Tensor& u_next, const at::Tensor& gradient) {
  const std::int64_t dim = y.size(1);
  float* const y_data = y.mutable_data_ptr<float>();
  const float* const u_data = u_next.const_data_ptr<float>();
  const float* const g_data = gradient.const_data_ptr<float>();
  at::parallel_for(0, count(), rows_at_once(dim), [&](std::int64_t first, std::int64_t last) {
    std::vector<float> noise(static_cast<std::size_t>(dim));
    for (std::int64_t b = first; b < last; ++b) {
      const ChainRow row = rows_[static_cast<std::size_t>(b)];
      fill_normal(noise, key_, counter_of(row, k_));
      float* out = y_data + b * dim;
      const float* u = u_data + b * dim;
      const float* g = g_data + b * dim;
      const float* n = noise.data();
      for (std::int64_t e = 0; e < dim; ++e) out[e] = langevin_element(row, out[e], u[e], g[e], n[e]);
    }
  });
}

}  // namespace hebm::prior
