#include "nets/map_conv.h"
#include <ATen/ops/zeros.h>
#include <algorithm>
#include "base/error.h"
#include "nets/gemm.h"

namespace hebm::nets {
namespace {

// Columns of a product at least, where the line has so many: a narrower one leaves the processor
// waiting. Wider ones multiply zeros.
constexpr std::int64_t kMinColumns = 32;

}  // namespace

MapConv::MapConv(const at::Tensor& weight, const MapShape& in, const MapConvForm& form, at::ScalarType type)
    : in_(in), kernel_(weight.size(3)) {
  check(weight.dim() == 4 && weight.size(1) == in.channels && weight.size(2) == kernel_ && weight.is_cpu() &&
            weight.scalar_type() == at::kFloat && (!form.doubles || form.stride == 1),
      ExitCode::kRuntime, "convolution of a map of {} channels by a weight of {} dimensions", in.channels,
      weight.dim());
  const auto out = [&](std::int64_t side) {
    const std::int64_t steps = (form.doubles ? 2 : 1) * side + 2 * form.padding - kernel_;
    check(steps >= 0, ExitCode::kRuntime, "convolution {0}x{0}: a map of {1} x {2} is too small", kernel_, in.height,
        in.width);
    return steps / form.stride + 1;
  };
  out_ = {weight.size(0), out(in.height), out(in.width)};
  const Line rows = line(in.height, out_.height, kernel_, form), columns = line(in.width, out_.width, kernel_, form);
  forward_.from = reverse_.to = in_;
  forward_.to = reverse_.from = out_;
  forward_.build(rows, columns);
  forward_.fill(weight.detach().permute({2, 3, 1, 0}).contiguous(), type);
  reverse_.build(turned(rows, in.height), turned(columns, in.width));
  reverse_.fill(weight.detach().permute({2, 3, 0, 1}).contiguous(), type);
}

MapConv::Line MapConv::line(std::int64_t sources, std::int64_t targets, std::int64_t kernel, const MapConvForm& form) {
  Line out(static_cast<std::size_t>(targets));
  const std::int64_t side = form.doubles ? 2 * sources : sources;
  for (std::int64_t t = 0; t < targets; ++t) {
    for (std::int64_t k = 0; k < kernel; ++k) {
      const std::int64_t s = t * form.stride - form.padding + k;
      if (s >= 0 && s < side) out[static_cast<std::size_t>(t)].push_back({form.doubles ? s / 2 : s, k});
    }
  }
  return out;
}

MapConv::Line MapConv::turned(const Line& line, std::int64_t sources) {
  Line out(static_cast<std::size_t>(sources));
  for (std::size_t t = 0; t < line.size(); ++t) {
    for (const Tap& tap : line[t])
      out[static_cast<std::size_t>(tap.source)].push_back({static_cast<std::int64_t>(t), tap.tap});
  }
  return out;
}

void MapConv::Side::build(const Line& rows, const Line& columns) {
  const std::int64_t width = std::min(to.width, (kMinColumns + to.channels - 1) / to.channels);
  for (std::int64_t row = 0; row < to.height; ++row) {
    for (std::int64_t first = 0; first < to.width; first += width)
      add_block(rows, row, columns, first, std::min(first + width, to.width));
  }
}

// The products that write target pixels [first, last) of a row: one a source row, or one of all of
// them where whole rows are read.
void MapConv::Side::add_block(
    const Line& rows, std::int64_t row, const Line& columns, std::int64_t first, std::int64_t last) {
  std::int64_t low = from.width, high = 0;
  for (std::int64_t t = first; t < last; ++t) {
    for (const Tap& tap : columns[static_cast<std::size_t>(t)]) {
      low = std::min(low, tap.source);
      high = std::max(high, tap.source + 1);
    }
  }
  const auto& taps = rows[static_cast<std::size_t>(row)];
  const std::int64_t start = (row * to.width + first) * to.channels, out = (last - first) * to.channels;
  if (taps.empty() || low >= high) return products.push_back({0, 0, start, out, 0, true});  // nothing is read: zero
  const bool whole = low == 0 && high == from.width;
  bool is_first = true;
  for (std::size_t begin = 0; begin < taps.size();) {
    const std::int64_t source_row = taps[begin].source;
    std::vector<Part> parts;
    std::size_t end = begin;
    for (; end < taps.size() && (whole || taps[end].source == source_row); ++end) {
      for (std::int64_t t = first; t < last; ++t) {
        for (const Tap& tap : columns[static_cast<std::size_t>(t)])
          parts.push_back(
              {(taps[end].source - source_row) * from.width + tap.source - low, t - first, taps[end].tap, tap.tap});
      }
    }
    const std::int64_t num_rows = taps[end - 1].source - source_row + 1;
    const std::int64_t inner = (whole ? num_rows * from.width : high - low) * from.channels;
    products.push_back(
        {(source_row * from.width + low) * from.channels, inner, start, out, place({inner, out, parts}), is_first});
    is_first = false;
    begin = end;
  }
}

std::int64_t MapConv::Side::place(const Block& block) {
  const auto [found, is_new] = places.try_emplace(block, static_cast<std::int64_t>(matrices.size()));
  if (is_new) matrices.resize(matrices.size() + static_cast<std::size_t>(block.inner * block.columns), 0.0f);
  return found->second;
}

template <class Visit> void MapConv::Side::each_part(const Visit& visit) const {
  for (const auto& [block, first] : places) {
    for (const Part& part : block.parts)
      visit(part, first + part.row * from.channels * block.columns + part.column * to.channels, block.columns);
  }
}

void MapConv::Side::fill(const at::Tensor& taps, at::ScalarType type) {
  const float* weights = taps.const_data_ptr<float>();
  each_part([&](const Part& part, std::int64_t first, std::int64_t stride) {
    const float* tap = weights + (part.tap_y * taps.size(0) + part.tap_x) * from.channels * to.channels;
    for (std::int64_t c = 0; c < from.channels; ++c) {
      float* row = matrices.data() + first + c * stride;
      for (std::int64_t o = 0; o < to.channels; ++o) row[o] += tap[c * to.channels + o];
    }
  });
  if (type == at::kFloat) return;
  rounded_to(rounded, matrices.data(), std::ssize(matrices));
}

void MapConv::Side::run(const float* x, float* y, std::int64_t images, bool add) const {
  thread_local std::vector<at::BFloat16> scratch;
  const at::BFloat16* of_x = rounded.empty() ? nullptr : rounded_to(scratch, x, images * from.size());
  for (const Product& p : products) {
    const MatrixOut out{y + p.to, to.size(), add || !p.first};
    const GemmSize size{images, p.columns, p.inner};
    if (rounded.empty()) {
      multiply(Matrix{x + p.from, from.size()}, {matrices.data() + p.matrix, p.columns}, out, size);
    } else {
      multiply(Bf16Matrix{of_x + p.from, from.size()}, {rounded.data() + p.matrix, p.columns}, out, size);
    }
  }
}

at::Tensor MapConv::zero_weight() const {
  return at::zeros({out_.channels, in_.channels, kernel_, kernel_}, at::kFloat);
}

void MapConv::forward(const float* x, float* y, std::int64_t images, bool add) const {
  forward_.run(x, y, images, add);
}

void MapConv::reverse(const float* gy, float* gx, std::int64_t images) const { reverse_.run(gy, gx, images, false); }

void MapConv::add_weight_gradient(
    const float* x, const float* gy, std::int64_t images, const at::Tensor& gradient) const {
  std::vector<float> sums(forward_.matrices.size(), 0.0f);
  for (const Product& p : forward_.products)
    multiply(Matrix{x + p.from, in_.size(), true}, {gy + p.to, out_.size()}, {sums.data() + p.matrix, p.columns, true},
        {p.inner, p.columns, images});
  auto out = gradient.accessor<float, 4>();
  forward_.each_part([&](const Part& part, std::int64_t first, std::int64_t stride) {
    const float* sum = sums.data() + first;
    for (std::int64_t o = 0; o < out_.channels; ++o) {
      for (std::int64_t c = 0; c < in_.channels; ++c) out[o][c][part.tap_y][part.tap_x] += sum[c * stride + o];
    }
  });
}

}  // namespace hebm::nets
