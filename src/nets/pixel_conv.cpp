#include "nets/pixel_conv.h"
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>
#include <algorithm>
#include "base/error.h"
#include "nets/gemm.h"

namespace hebm::nets {
namespace {

// One image's pixels and the rows of the matrix that its outputs read.
struct Geometry {
  std::int64_t height, width, channels, out_height, out_width;
  ConvShape conv;
  std::int64_t image_size() const { return height * width * channels; }
  std::int64_t row_size() const { return conv.kernel * conv.kernel * channels; }
  std::int64_t rows() const { return out_height * out_width; }
};

// Calls run(place in the rows, place in the image, length) for every stretch of a row that lies in
// the image: the taps of one kernel line are neighbours in both. An offset below 0 means zeros.
template <class Run> void for_each_run(const Geometry& g, const Run& run) {
  const std::int64_t k = g.conv.kernel, line_size = k * g.channels;
  std::int64_t row = 0;
  for (std::int64_t out_y = 0; out_y < g.out_height; ++out_y) {
    for (std::int64_t out_x = 0; out_x < g.out_width; ++out_x) {
      const std::int64_t x = out_x * g.conv.stride - g.conv.padding;
      const std::int64_t first = std::clamp<std::int64_t>(-x, 0, k);
      const std::int64_t last = std::clamp<std::int64_t>(g.width - x, first, k);
      for (std::int64_t line = 0; line < k; ++line, row += line_size) {
        const std::int64_t y = out_y * g.conv.stride - g.conv.padding + line;
        if (y < 0 || y >= g.height) {
          run(row, std::int64_t{-1}, line_size);
          continue;
        }
        if (first > 0) run(row, std::int64_t{-1}, first * g.channels);
        if (last > first)
          run(row + first * g.channels, (y * g.width + x + first) * g.channels, (last - first) * g.channels);
        if (last < k) run(row + last * g.channels, std::int64_t{-1}, (k - last) * g.channels);
      }
    }
  }
}

template <class T> void gather(const Geometry& g, const T* image, T* rows) {
  for_each_run(g, [&](std::int64_t to, std::int64_t from, std::int64_t count) {
    if (from < 0) {
      std::fill_n(rows + to, count, T(0));
    } else {
      std::copy_n(image + from, count, rows + to);
    }
  });
}

template <class T> void scatter_add(const Geometry& g, const T* rows, T* image) {
  std::fill_n(image, g.image_size(), T(0));
  for_each_run(g, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    if (to < 0) return;
    for (std::int64_t i = 0; i < count; ++i) image[to + i] += rows[from + i];
  });
}

// work(from, to) of every image, over torch's threads; from and to have so many values an image.
template <class T, class Work> void over_images(
    const at::Tensor& from, std::int64_t from_size, const at::Tensor& to, std::int64_t to_size, const Work& work) {
  const T* in = from.const_data_ptr<T>();
  T* out = to.mutable_data_ptr<T>();
  at::parallel_for(0, from.numel() / from_size, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) work(in + b * from_size, out + b * to_size);
  });
}

Geometry geometry_of(at::IntArrayRef x, const ConvShape& s) {
  return {x[1], x[2], x[3], s.output(x[1]), s.output(x[2]), s};
}

// [B, H, W, C] -> [B H' W', k k C]
at::Tensor rows_of(const at::Tensor& x, const Geometry& g) {
  at::Tensor rows = at::empty({x.size(0) * g.rows(), g.row_size()}, x.options().requires_grad(false));
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "conv_pixels", [&] {
    over_images<scalar_t>(x, g.image_size(), rows, g.rows() * g.row_size(),
        [&](const scalar_t* image, scalar_t* of_image) { gather(g, image, of_image); });
  });
  return rows;
}

// rows matrix, or rows matrix^T.
at::Tensor product(const at::Tensor& rows, const at::Tensor& matrix, bool turned) {
  if (rows.scalar_type() != at::kFloat) return at::mm(rows, turned ? matrix.t() : matrix);
  thread_local std::vector<at::BFloat16> rounded;
  const at::Tensor left = rows.contiguous(), right = matrix.contiguous();
  at::Tensor out = at::empty({rows.size(0), matrix.size(turned ? 0 : 1)}, rows.options().requires_grad(false));
  Rows(left.const_data_ptr<float>(), left.size(0), left.size(1), matrix.scalar_type(), rounded)
      .times(right, out.mutable_data_ptr<float>(), false, turned);
  return out;
}

struct PixelConv : torch::autograd::Function<PixelConv> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& input, const at::Tensor& matrix,
      const ConvShape& shape) {
    const at::Tensor x = input.contiguous();
    const Geometry g = geometry_of(x.sizes(), shape);
    const at::Tensor rows = rows_of(x, g);
    ctx->save_for_backward({matrix, matrix.requires_grad() ? rows : at::Tensor()});
    ctx->saved_data["sizes"] = x.sizes().vec();
    ctx->saved_data["conv"] = std::vector<std::int64_t>{shape.kernel, shape.stride, shape.padding};
    return product(rows, matrix, false).view({x.size(0), g.out_height, g.out_width, matrix.size(1)});
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* ctx, torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto sizes = ctx->saved_data["sizes"].toIntVector(), conv = ctx->saved_data["conv"].toIntVector();
    const Geometry g = geometry_of(sizes, {conv[0], conv[1], conv[2]});
    const at::Tensor dy = gradients[0].reshape({-1, gradients[0].size(3)});
    at::Tensor dx, dmatrix;
    if (ctx->needs_input_grad(0)) {
      const at::Tensor rows = product(dy, saved[0], true);
      dx = at::empty(sizes, rows.options());
      AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "conv_pixels", [&] {
        over_images<scalar_t>(rows, g.rows() * g.row_size(), dx, g.image_size(),
            [&](const scalar_t* of_image, scalar_t* image) { scatter_add(g, of_image, image); });
      });
    }
    if (ctx->needs_input_grad(1)) dmatrix = at::mm(saved[1].t(), dy);
    return {dx, dmatrix, at::Tensor()};
  }
};

}  // namespace

at::Tensor conv_matrix(const at::Tensor& weight) {
  return weight.permute({2, 3, 1, 0}).reshape({-1, weight.size(0)}).contiguous();
}

at::Tensor conv_pixels(const at::Tensor& x, const at::Tensor& matrix, const ConvShape& shape) {
  const std::int64_t k = shape.kernel;
  check(x.dim() == 4 && matrix.dim() == 2 && matrix.size(0) == k * k * x.size(3) && shape.output(x.size(1)) >= 1 &&
            shape.output(x.size(2)) >= 1,
      ExitCode::kRuntime, "convolution {}x{} of [B, {}, {}, {}] by a matrix of {} rows", k, k,
      x.dim() == 4 ? x.size(1) : 0, x.dim() == 4 ? x.size(2) : 0, x.dim() == 4 ? x.size(3) : 0, matrix.size(0));
  if (x.is_cpu()) return PixelConv::apply(x, matrix, shape);
  const at::Tensor weight = matrix.view({k, k, x.size(3), matrix.size(1)}).permute({3, 2, 0, 1});
  const at::Tensor y =
      at::conv2d(x.permute({0, 3, 1, 2}), weight, {}, {shape.stride, shape.stride}, {shape.padding, shape.padding});
  return y.permute({0, 2, 3, 1});
}

}  // namespace hebm::nets
