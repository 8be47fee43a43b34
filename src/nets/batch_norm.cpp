#include "nets/batch_norm.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>
#include "base/error.h"
#include "nets/batch_norm_kernels.h"

namespace hebm::nets {
namespace {

using detail::NormShape;

constexpr std::int64_t kGrain = 1 << 15;  // elements worth a thread

at::Tensor per_channel(const at::Tensor& values) { return values.view({1, -1, 1, 1}); }

at::Tensor line(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift) {  // [C] each
  return x * per_channel(scale) + per_channel(shift);
}

// float32 in host memory: the loops of batch_norm_kernels.h. Else ATen does it, more slowly.
// Tensors without data take the same memory as those.
bool has_kernel(const at::Tensor& x) { return (x.is_cpu() || x.is_meta()) && x.scalar_type() == at::kFloat; }

bool channels_last(const at::Tensor& x) {
  return !x.is_contiguous() && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor dense(const at::Tensor& x) { return channels_last(x) ? x : x.contiguous(); }

at::Tensor dense_like(const at::Tensor& y, const at::Tensor& x) {
  return y.contiguous(channels_last(x) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

NormShape shape_of(const at::Tensor& x) {
  const std::int64_t area = x.size(2) * x.size(3);
  return channels_last(x) ? NormShape{x.size(0) * area, x.size(1), 1} : NormShape{x.size(0), x.size(1), area};
}

template <class Work> void over_channels(const NormShape& n, const Work& work) {
  at::parallel_for(
      0, n.channels, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, n.outer * n.inner)), work);
}

template <class Work> void over_rows(const at::Tensor& x, const NormShape& n, const Work& work) {
  if (x.is_meta()) return;
  at::parallel_for(0, n.outer, std::max<std::int64_t>(1, kGrain / (n.channels * n.inner)), work);
}

detail::NormMap map_of(const at::Tensor& scale, const at::Tensor& shift, bool silu) {
  return {scale.const_data_ptr<float>(), shift.const_data_ptr<float>(), silu};
}

// Sum of d and of d x a channel, [2 C] float64 on the host, of this rank: d = dy act'(scale x +
// shift), or x itself where dy is undefined.
std::vector<double> sums(
    const at::Tensor& x, const at::Tensor& dy, const at::Tensor& scale, const at::Tensor& shift, bool silu) {
  const std::int64_t channels = x.size(1);
  std::vector<double> out(static_cast<std::size_t>(2 * channels));
  if (x.is_meta()) return out;
  if (has_kernel(x)) {
    const NormShape n = shape_of(x);
    const float* gradient = dy.defined() ? dy.const_data_ptr<float>() : nullptr;
    const detail::NormMap map = dy.defined() ? map_of(scale, shift, silu) : detail::NormMap{};
    over_channels(n, [&](std::int64_t first, std::int64_t last) {
      detail::norm_sums(x.const_data_ptr<float>(), gradient, n, {first, last}, map, out.data(), out.data() + channels);
    });
    return out;
  }
  const at::Tensor wide = x.to(at::kDouble);
  at::Tensor d = wide;
  if (dy.defined()) d = (silu ? at::silu_backward(dy, line(x, scale, shift)) : dy).to(at::kDouble);
  const at::Tensor both = at::empty({2, channels}, at::kDouble);
  both[0].copy_(d.sum({0, 2, 3}));
  both[1].copy_((d * wide).sum({0, 2, 3}));
  std::copy_n(both.const_data_ptr<double>(), out.size(), out.begin());
  return out;
}

// Per-channel numbers, made in float64, in x's type and place.
at::Tensor like(const std::vector<double>& values, const at::Tensor& x) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<double>());
  return out.to(x.options());
}

std::vector<double> host(const at::Tensor& values) {
  if (values.is_meta()) return std::vector<double>(static_cast<std::size_t>(values.numel()));
  const at::Tensor wide = values.detach().to(at::kCPU, at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

at::Tensor affine(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift, bool silu) {
  if (has_kernel(x)) {
    const NormShape n = shape_of(x);
    at::Tensor y = at::empty_like(x);
    over_rows(x, n, [&](std::int64_t first, std::int64_t last) {
      detail::norm_apply(
          x.const_data_ptr<float>(), n, {first, last}, map_of(scale, shift, silu), y.mutable_data_ptr<float>());
    });
    return y;
  }
  const at::Tensor v = line(x, scale, shift);
  return silu ? at::silu(v) : v;
}

NormStatistics measure(const at::Tensor& x, const BatchNormTensors& norm, const NormMode& mode) {
  if (mode.kept != nullptr && mode.kept->count > 0.0) return *mode.kept;
  std::vector<double> sum = sums(x, {}, {}, {}, false);
  sum.push_back(static_cast<double>(x.size(0) * x.size(2) * x.size(3)));
  if (mode.sum) mode.sum(sum);
  NormStatistics out;
  out.count = sum.back();
  check(out.count > 1.0, ExitCode::kRuntime,
      "batch norm: {} value(s) a channel in the global batch, at least 2 are needed; take a larger batch", out.count);
  const auto channels = static_cast<std::size_t>(x.size(1));
  std::vector<double> unbiased(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / out.count;
    const double square = sum[channels + c] / out.count - mean * mean;
    const double variance = square < 0.0 ? 0.0 : square;  // rounding; NaN stays
    out.mean.push_back(mean);
    out.inverse.push_back(1.0 / std::sqrt(variance + norm.eps));
    unbiased[c] = variance * out.count / (out.count - 1.0);
  }
  const c10::NoGradGuard no_grad;
  for (const auto& [running, now] : {std::pair{norm.running_mean, &out.mean}, {norm.running_var, &unbiased}}) {
    running.mul_(1.0 - mode.momentum).add_(like(*now, running), mode.momentum);
  }
  if (mode.kept != nullptr) *mode.kept = out;
  return out;
}

struct KeptSum : torch::CustomClassHolder {
  explicit KeptSum(SumOverRanks of_ranks) : sum(std::move(of_ranks)) {}
  SumOverRanks sum;
};

at::Tensor backward_input(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& scale, const at::Tensor& shift,
    bool silu, const at::Tensor& slope, const at::Tensor& offset) {
  if (has_kernel(x)) {
    const NormShape n = shape_of(x);
    at::Tensor dx = at::empty_like(x);
    over_rows(x, n, [&](std::int64_t first, std::int64_t last) {
      detail::norm_backward_apply(x.const_data_ptr<float>(), dy.const_data_ptr<float>(), n, {first, last},
          map_of(scale, shift, silu), map_of(slope, offset, false), dx.mutable_data_ptr<float>());
    });
    return dx;
  }
  const at::Tensor d = silu ? at::silu_backward(dy, line(x, scale, shift)) : dy;
  return d * per_channel(scale) + x * per_channel(slope) + per_channel(offset);
}

// With n = (x - mean) inverse, v = gamma n + beta, y = act(v), d = dy act'(v), sums over the global
// batch of N values: dx = gamma inverse (d - sum(d) / N - n sum(d n) / N), dgamma = sum(d n), dbeta
// = sum(d); the last two this rank's.
struct TrainNorm : torch::autograd::Function<TrainNorm> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& input, const at::Tensor& gamma,
      const at::Tensor& beta, const BatchNormTensors* norm, const NormMode* mode, bool silu) {
    const at::Tensor x = dense(input);
    const NormStatistics s = measure(x, *norm, *mode);
    std::vector<double> scale = host(gamma), shift = host(beta);
    for (std::size_t c = 0; c < scale.size(); ++c) {
      scale[c] *= s.inverse[c];
      shift[c] -= s.mean[c] * scale[c];
    }
    const at::Tensor a = like(scale, x), b = like(shift, x);
    ctx->save_for_backward({x, gamma, a, b});
    ctx->saved_data["count"] = s.count;
    ctx->saved_data["mean"] = s.mean;
    ctx->saved_data["inverse"] = s.inverse;
    ctx->saved_data["silu"] = silu;
    ctx->saved_data["sum"] = c10::IValue::make_capsule(c10::make_intrusive<KeptSum>(mode->sum));
    return affine(x, a, b, silu);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* ctx, torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &a = saved[2], &b = saved[3];
    const at::Tensor dy = dense_like(gradients[0], x);
    const bool silu = ctx->saved_data["silu"].toBool();
    const double count = ctx->saved_data["count"].toDouble();
    const auto mean = ctx->saved_data["mean"].toDoubleVector(), inverse = ctx->saved_data["inverse"].toDoubleVector();
    const auto kept = c10::static_intrusive_pointer_cast<KeptSum>(ctx->saved_data["sum"].toCapsule());

    std::vector<double> sum = sums(x, dy, a, b, silu);
    const std::size_t channels = mean.size();
    for (std::size_t c = 0; c < channels; ++c) sum[channels + c] = inverse[c] * (sum[channels + c] - mean[c] * sum[c]);
    const std::vector<double> dbeta(sum.begin(), sum.begin() + static_cast<std::ptrdiff_t>(channels));
    const std::vector<double> dgamma(sum.begin() + static_cast<std::ptrdiff_t>(channels), sum.end());
    if (kept->sum) kept->sum(sum);

    std::vector<double> slope = host(saved[1]), offset(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const double scale = slope[c] * inverse[c];
      slope[c] = -scale * inverse[c] * sum[channels + c] / count;
      offset[c] = -scale * sum[c] / count - slope[c] * mean[c];
    }
    const at::Tensor dx = backward_input(x, dy, a, b, silu, like(slope, x), like(offset, x));
    return {dx, like(dgamma, saved[1]), like(dbeta, saved[1]), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor batch_norm(const at::Tensor& x, const BatchNormTensors& norm, const NormMode& mode, bool silu) {
  check(x.dim() == 4 && x.size(1) == norm.gamma.numel(), ExitCode::kRuntime,
      "batch norm of {} channels: the input has {} dimensions and {} channels, expected [B, C, H, W]",
      norm.gamma.numel(), x.dim(), x.dim() > 1 ? x.size(1) : 0);
  if (mode.training) return TrainNorm::apply(x, norm.gamma, norm.beta, &norm, &mode, silu);
  const at::Tensor y =
      at::batch_norm(x, norm.gamma, norm.beta, norm.running_mean, norm.running_var, false, 0.0, norm.eps, false);
  return silu ? at::silu(y) : y;
}

}  // namespace hebm::nets
