// Every cell of NVAE, with weights and running statistics far from their starts, against plain
// loops in float64. The flow's masks, as what they promise: an element's new value depends on
// itself and on elements before it alone.
#include "vae/nvae_cells.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"
#include "jacobian.h"
#include "plain_ops.h"

namespace hebm::vae {
namespace {

using plain::Image;
using test::random_tensor;

constexpr double kRounding = 1e-12;  // of sums of some hundred products of order 1

struct Net {
  nets::Parameters params{5, 1, at::kDouble};
  NvaeLayers layers{params};
  c10::NoGradGuard no_grad;

  // Every value moved, variances kept positive.
  void shake() {
    std::uint32_t item = 100;
    for (const auto& p : params.parameters()) {
      at::Tensor t = p.tensor;
      t.add_(random_tensor(t.sizes().vec(), item++), 0.5);
    }
    for (const auto& s : params.states()) {
      at::Tensor t = s.tensor;
      t.add_(random_tensor(t.sizes().vec(), item++), 0.5);
    }
  }
};

void expect_equal(const at::Tensor& got, std::size_t b, const Image& expected) {
  const at::Tensor image = got.select(0, static_cast<std::int64_t>(b));
  ASSERT_EQ(image.sizes().vec(), (std::vector<std::int64_t>{expected.c, expected.h, expected.w}));
  const auto values = test::values_of(image);
  double largest = 0;
  for (const double v : expected.v) largest = std::max(largest, std::fabs(v));
  EXPECT_GT(largest, 0.1);  // or the test says nothing
  for (std::size_t e = 0; e < values.size(); ++e)
    ASSERT_NEAR(values[e], expected.v[e], kRounding * std::max(1.0, largest)) << e;
}

Image plain_res_cell(const ResCell& cell, const Image& x) {
  Image h = x;
  for (std::size_t n = 0; n < 2; ++n) h = plain::conv(cell.convs[n], plain::silu(plain::norm(cell.norms[n], h)));
  Image skip = x;
  if (cell.down) {
    const Image s = plain::silu(x);
    skip = plain::stack({plain::conv(cell.skip[0], s), plain::conv(cell.skip[1], s, 1, 1),
        plain::conv(cell.skip[2], s, 0, 1), plain::conv(cell.skip[3], s, 1, 0)});
  }
  return plain::add(skip, 0.1, plain::squeeze_excite(cell.squeeze_excite, h));
}

Image plain_mb_cell(const MbCell& cell, const Image& x) {
  Image h = plain::norm(cell.norm_in, cell.up ? plain::nearest_up(x) : x);
  h = plain::silu(plain::norm(cell.norm_expanded, plain::conv(cell.expand, h)));
  h = plain::silu(plain::norm(cell.norm_depthwise, plain::conv(cell.depthwise, h)));
  h = plain::norm(cell.norm_out, plain::conv(cell.project, h));
  return plain::add(
      cell.up ? plain::conv(cell.skip, plain::bilinear_up(x)) : x, 0.1, plain::squeeze_excite(cell.squeeze_excite, h));
}

TEST(ResCell, AgainstPlainLoops) {
  for (const bool down : {false, true}) {
    for (const bool use_se : {false, true}) {
      Net net;
      const ResCell cell = make_res_cell(net.layers, "cell", 6, down, use_se);
      net.shake();
      const at::Tensor x = random_tensor({2, 6, 4, 6}, 1);
      const at::Tensor got = cell(x, Pass{});
      for (std::size_t b = 0; b < 2; ++b)
        expect_equal(got, b, plain_res_cell(cell, Image(x.select(0, static_cast<std::int64_t>(b)))));
    }
  }
}

// 33 channels: a quarter of 66 is 16, the last of the four convolutions takes 18.
TEST(ResCell, TheLastSkipTakesTheRestOfTheChannels) {
  Net net;
  const ResCell cell = make_res_cell(net.layers, "cell", 33, true, false);
  EXPECT_EQ(cell.skip[2].weight.size(0), 16);
  EXPECT_EQ(cell.skip[3].weight.size(0), 18);
  EXPECT_EQ(cell(random_tensor({1, 33, 2, 2}, 1), Pass{}).sizes().vec(), (std::vector<std::int64_t>{1, 66, 1, 1}));
}

TEST(MbCell, AgainstPlainLoops) {
  for (const bool up : {false, true}) {
    for (const bool use_se : {false, true}) {
      for (const std::int64_t expansion : {3, 6}) {
        Net net;
        const MbCell cell = make_mb_cell(net.layers, "cell", 4, up, expansion, use_se);
        net.shake();
        const at::Tensor x = random_tensor({2, 4, 5, 3}, 1);
        const at::Tensor got = cell(x, Pass{});
        for (std::size_t b = 0; b < 2; ++b)
          expect_equal(got, b, plain_mb_cell(cell, Image(x.select(0, static_cast<std::int64_t>(b)))));
      }
    }
  }
}

TEST(FlowPair, AgainstPlainLoops) {
  Net net;
  const FlowPair pair = make_flow_pair(net.layers, "flow", 3);
  net.shake();
  const at::Tensor z = random_tensor({2, 3, 4, 5}, 1);
  const at::Tensor got = pair(z, Pass{});
  for (std::size_t b = 0; b < 2; ++b) {
    Image x(z.select(0, static_cast<std::int64_t>(b)));
    for (const auto& cell : pair.cells) {
      const Image h = plain::elu(plain::conv(cell.depthwise, plain::elu(plain::conv(cell.first, x))));
      x = plain::add(x, -1.0, plain::conv(cell.mean, plain::elu(h)));
    }
    expect_equal(got, b, x);
  }
}

TEST(SqueezeExcite, HiddenWidthIsASixteenthButFourAtLeast) {
  Net net;
  EXPECT_EQ(net.layers.squeeze_excite("a", 16).squeeze.weight.size(0), 4);
  EXPECT_EQ(net.layers.squeeze_excite("b", 96).squeeze.weight.size(0), 6);
}

TEST(NvaeConv, WeightNormIsExactWithTheEpsilonOutsideTheRoot) {
  Net net;
  const NvaeConv conv = net.layers.conv("conv", {.in = 2, .out = 2, .kernel = 1});
  at::Tensor weight = conv.weight, norm = conv.log_weight_norm;
  weight.copy_(test::numbers({3e-5, 4e-5, 0.0, 0.0}).reshape({2, 2, 1, 1}));
  norm.copy_(test::numbers({std::log(2.0), 7.0}).reshape({2, 1, 1, 1}));
  const auto got = test::values_of(conv.effective_weight());
  EXPECT_NEAR(got[0], 2.0 * 3e-5 / (5e-5 + 1e-5), 1e-14);
  EXPECT_NEAR(got[1], 2.0 * 4e-5 / (5e-5 + 1e-5), 1e-14);
  EXPECT_EQ(got[2], 0.0);  // a dead channel is 0, not NaN
}

// log_weight_norm = log(|v| + 0.01), so that the effective weight is v to 1 %.
TEST(NvaeConv, StartsWithItsOwnNorm) {
  Net net;
  const NvaeConv conv = net.layers.conv("conv", {.in = 30, .out = 8, .kernel = 3});
  const at::Tensor ratio = conv.log_weight_norm.exp() - 0.01;
  EXPECT_LT(test::largest_difference(ratio, conv.weight.square().sum({1, 2, 3}, true).sqrt()), 1e-12);
  const double bound = 1.0 / std::sqrt(270.0);
  EXPECT_LE(conv.weight.abs().max().item<double>(), bound);
  EXPECT_GT(conv.weight.abs().max().item<double>(), 0.98 * bound);
  EXPECT_LE(conv.bias.abs().max().item<double>(), bound);
}

TEST(NvaeLayers, ListsHoldEveryConvolutionAndBatchNormInOrder) {
  Net net;
  const MbCell cell = make_mb_cell(net.layers, "cell", 4, true, 6, true);
  ASSERT_EQ(net.layers.convs().size(), 4u);
  ASSERT_EQ(net.layers.norms().size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(net.layers.convs()[i].index, i);
  EXPECT_TRUE(net.layers.norms()[1].gamma.is_same(cell.norm_expanded.gamma));
  EXPECT_TRUE(net.layers.convs()[cell.depthwise.index].weight.is_same(cell.depthwise.weight));
}

constexpr std::int64_t kChannels = 3, kHeight = 4, kWidth = 5, kPixels = kHeight * kWidth, kSize = kChannels * kPixels;

// jacobian[e][f] = d cell(z)_e / d z_f, elements as they lie in memory: channel, row, column.
std::vector<std::vector<double>> jacobian(const std::function<at::Tensor(const at::Tensor&)>& cell) {
  const at::Tensor z = random_tensor({1, kChannels, kHeight, kWidth}, 1).requires_grad_(true);
  return test::jacobian(cell(z), z);
}

// Place of an element in the flow's order: raster (or reversed raster) of the pixel, then channel.
std::int64_t place(std::int64_t element, bool reversed) {
  const std::int64_t pixel = element % kPixels, channel = element / kPixels;
  return (reversed ? kPixels - 1 - pixel : pixel) * kChannels + channel;
}

struct Flow {
  nets::Parameters params{3, 1, at::kDouble};
  NvaeLayers layers{params};
  FlowPair pair = make_flow_pair(layers, "flow", kChannels);
};

TEST(FlowCell, JacobianIsUnitTriangularInItsOrder) {
  const Flow flow;
  const Pass pass;
  for (const bool reversed : {false, true}) {
    const auto j = jacobian([&](const at::Tensor& z) { return flow.pair.cells[reversed ? 1 : 0](z, pass); });
    int below = 0;
    for (std::int64_t e = 0; e < kSize; ++e) {
      for (std::int64_t f = 0; f < kSize; ++f) {
        const double value = j[static_cast<std::size_t>(e)][static_cast<std::size_t>(f)];
        if (e == f) {
          EXPECT_EQ(value, 1.0);
        } else if (place(f, reversed) > place(e, reversed)) {
          EXPECT_EQ(value, 0.0) << e << ' ' << f << ' ' << reversed;
        } else if (value != 0.0) {
          ++below;
        }
      }
    }
    EXPECT_GT(below, kSize);  // it does look at what it may see
  }
}

// All that the masks let through is used: a cell sees the pixel before it (all channels), the row
// above, and its pixel's channels before its own.
TEST(FlowCell, SeesAllNeighboursBeforeIt) {
  const Flow flow;
  const Pass pass;
  const auto j = jacobian([&](const at::Tensor& z) { return flow.pair.cells[0](z, pass); });
  const auto at_pixel = [](std::int64_t c, std::int64_t y, std::int64_t x) {
    return static_cast<std::size_t>(c * kPixels + y * kWidth + x);
  };
  for (std::int64_t c = 0; c < kChannels; ++c) {
    const std::size_t e = at_pixel(c, 2, 2);
    for (std::int64_t other = 0; other < kChannels; ++other) {
      EXPECT_NE(j[e][at_pixel(other, 2, 1)], 0.0) << "left";
      EXPECT_NE(j[e][at_pixel(other, 1, 3)], 0.0) << "above and right";
      if (other >= c) continue;
      EXPECT_NE(j[e][at_pixel(other, 2, 2)], 0.0) << "channel " << other << " to " << c;
    }
  }
}

TEST(FlowPair, KeepsVolume) {
  const Flow flow;
  const Pass pass;
  EXPECT_NEAR(test::log_abs_determinant(jacobian([&](const at::Tensor& z) { return flow.pair(z, pass); })), 0.0, 1e-11);
}

TEST(FlowMask, ChannelsOfTheCentre) {
  const auto centre = [](const at::Tensor& mask, std::int64_t o, std::int64_t j) {
    const std::int64_t m = mask.size(2) / 2;
    return mask.select(0, o).select(0, j).select(0, m).select(0, m).item<double>();
  };
  const at::Tensor in = flow_mask(2, 12, 3, 1, true, false), depthwise = flow_mask(12, 12, 5, 12, false, true),
                   out = flow_mask(12, 2, 1, 1, false, false);
  EXPECT_EQ(depthwise.sizes().vec(), (std::vector<std::int64_t>{12, 1, 5, 5}));
  for (std::int64_t h = 0; h < 12; ++h) {
    for (std::int64_t z = 0; z < 2; ++z) {
      EXPECT_EQ(centre(in, h, z), z < h / 6 ? 1.0 : 0.0);
      EXPECT_EQ(centre(out, z, h), h / 6 <= z ? 1.0 : 0.0);
    }
    EXPECT_EQ(centre(depthwise, h, 0), 1.0);
  }
  // Reversed: the last two rows and the two pixels right of the centre are seen, and no other.
  EXPECT_EQ(depthwise.sum().item<double>(), 12.0 * (10 + 2 + 1));
  EXPECT_EQ(depthwise.narrow(2, 3, 2).sum().item<double>(), 12.0 * 10);
}

}  // namespace
}  // namespace hebm::vae
