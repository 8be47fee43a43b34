// The flow's masks, as what they promise: an element's new value depends on itself and on elements
// before it alone.
#include "vae/nvae_flow.h"
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include "../nets/support.h"
#include "jacobian.h"

namespace hebm::vae {
namespace {

using test::random_tensor;

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
