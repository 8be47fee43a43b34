// The paper's energy nets against their formulas written out once more with plain float64 loops,
// sizes, gradients through the transport.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <map>
#include "../nets/support.h"
#include "base/error.h"
#include "paper_nets.h"
#include "prior/potential.h"
#include "vae/hvae.h"

namespace hebm::prior {
namespace {

// ---- a reference of loops over vectors
// -----------------------------------------------------------------------------------

using Values = std::vector<double>;
struct Map {  // [channels, side, side]
  std::int64_t channels, side;
  Values v;
  double at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    return y < 0 || x < 0 || y >= side || x >= side ? 0.0 : v[static_cast<std::size_t>((c * side + y) * side + x)];
  }
};

Values values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous().flatten();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }
Values silu(Values x) {
  for (double& value : x) value = silu(value);
  return x;
}
Map silu(Map x) { return {x.channels, x.side, silu(std::move(x.v))}; }
Values sum(Values a, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}
Map sum(Map a, const Map& b) { return {a.channels, a.side, sum(std::move(a.v), b.v)}; }
Map plus_by_channel(Map a, const Values& b) {
  const std::size_t pixels = static_cast<std::size_t>(a.side * a.side);
  for (std::size_t i = 0; i < a.v.size(); ++i) a.v[i] += b[i / pixels];
  return a;
}

class Reference {
 public:
  explicit Reference(const EnergyNet& net) {
    for (const auto& p : net.params().parameters()) tensors_[p.name] = p.tensor;
    for (const auto& s : net.params().states()) tensors_[s.name] = s.tensor;
  }
  // W / (u^T W v), or W.
  Values weight(const std::string& name) const {
    if (tensors_.contains(name + ".weight")) return values_of(tensors_.at(name + ".weight"));
    Values w = values_of(tensors_.at(name + ".weight_orig"));
    const Values u = values_of(tensors_.at(name + ".weight_u")), v = values_of(tensors_.at(name + ".weight_v"));
    double sigma = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      for (std::size_t j = 0; j < v.size(); ++j) sigma += u[i] * w[i * v.size() + j] * v[j];
    }
    for (double& value : w) value /= sigma;
    return w;
  }
  Values linear(const std::string& name, const Values& x) const {
    const Values w = weight(name);
    Values out(w.size() / x.size(), 0.0);
    for (std::size_t i = 0; i < w.size(); ++i) out[i / x.size()] += w[i] * x[i % x.size()];
    return out;
  }
  Map conv(const std::string& name, const Map& x, std::int64_t kernel, std::int64_t stride) const {
    const Values w = weight(name);
    const std::int64_t outs = static_cast<std::int64_t>(w.size()) / (x.channels * kernel * kernel),
                       side = x.side / stride;
    Map out{outs, side, {}};
    for (std::int64_t o = 0; o < outs; ++o) {
      for (std::int64_t p = 0; p < side * side; ++p) {
        double total = 0;
        for (std::int64_t e = 0; e < x.channels * kernel * kernel; ++e) {
          const std::int64_t c = e / (kernel * kernel), dy = e / kernel % kernel, dx = e % kernel;
          total += w[static_cast<std::size_t>(o * x.channels * kernel * kernel + e)] *
                   x.at(c, p / side * stride + dy - 1, p % side * stride + dx - 1);
        }
        out.v.push_back(total);
      }
    }
    return out;
  }
  Values embedding(const std::string& name, std::int64_t t) const {
    Values e;
    for (int k = 0; k < 64; ++k)
      e.push_back(static_cast<float>(std::cos(static_cast<double>(t) * std::pow(10000.0, -k / 64.0))));
    for (int k = 0; k < 64; ++k)
      e.push_back(static_cast<float>(std::sin(static_cast<double>(t) * std::pow(10000.0, -k / 64.0))));
    return linear(name + ".2", silu(linear(name + ".0", e)));
  }
  double dense_end(Values h, const Values& active) const {
    for (const std::string block : {"linear1_", "linear2_"}) {
      const Values x = sum(linear(block + "x.1", silu(h)), linear(block + "t.1", active));
      h = sum(linear(block + "all.1", silu(x)), linear(block + "short.1", silu(h)));
    }
    return linear("out.1", silu(h))[0];
  }
  double cifar10(const Map& z, std::int64_t t) const {
    const Values active = silu(embedding("t_ebm_model2", t));
    const Map x = plus_by_channel(z, embedding("t_ebm_model1", t));
    Map g = plus_by_channel(conv("conv_start", x, 4, 2), linear("t_linear.1", active));
    Map h = sum(conv("conv_all.1", silu(g), 3, 1), conv("conv_short", x, 4, 2));
    for (int i = 0; h.side > 2; ++i) {
      const std::string block = "res_blocks." + std::to_string(i) + ".";
      g = plus_by_channel(conv(block + "conv2d_1.1", silu(h), 4, 2), linear(block + "linear.1", active));
      h = sum(conv(block + "conv2d_2.1", silu(g), 3, 1), conv(block + "conv2d_shortcut.1", silu(h), 4, 2));
    }
    return dense_end(h.v, active);
  }
  double celeba(const Map& z, std::int64_t t) const {
    const Values active = silu(embedding("t_ebm_model1", t));
    Map h = z;
    for (int i = 1; h.side > 8; ++i) h = silu(conv("conv2d.conv" + std::to_string(i), h, 4, 2));
    h = conv("downsample", h, h.side == 4 ? 3 : 4, h.side == 4 ? 1 : 2);
    return dense_end(h.v, active);
  }
 private:
  std::map<std::string, at::Tensor> tensors_;
};

TEST(PaperEnergyNet, IsTheFormulaForEverySizeAndLevel) {
  for (const std::string net : {"cifar10", "celebahq256"}) {
    for (const std::int64_t side : {4, 8, 16, 32}) {
      for (const bool spectral : {true, false}) {
        auto options = paper_options(net);
        options.spectral_norm = spectral;
        const auto made = make_energy_net(options, {3, side, side}, {.num_levels = 3, .seed = 7, .dtype = at::kDouble});
        const Reference reference(*made);
        const at::Tensor z = normal({3, 3, side, side}, static_cast<std::uint32_t>(side));
        const std::vector<std::int64_t> t = {2, 0, 1};
        const auto weights = made->weights(false);
        const Values f = values_of(made->outputs(weights, made->select(weights, at::tensor(t, at::kLong)), z).f);
        for (std::int64_t b = 0; b < 3; ++b) {
          const Map map{3, side, values_of(z[b])};
          const auto level = t[static_cast<std::size_t>(b)];
          const double want = net == "cifar10" ? reference.cifar10(map, level) : reference.celeba(map, level);
          // 1e-12: rounding of sums of at most 16 W = 64 terms of order one, in five layers.
          EXPECT_NEAR(f[static_cast<std::size_t>(b)], want, 1e-12 * (1 + std::abs(want)))
              << net << " " << side << " t " << level;
        }
      }
    }
  }
}

TEST(PaperEnergyNet, TakesTheSizesFourTo128AndNoOther) {
  for (const std::string net : {"cifar10", "celebahq256"}) {
    for (const std::int64_t side : {4, 8, 16, 32, 64, 128}) {
      const auto made = make_energy_net(paper_options(net), {2, side, side}, {.num_levels = 2, .seed = 1});
      const auto weights = made->weights(false);
      const at::Tensor z = normal({1, 2, side, side}, 5).to(at::kFloat).expand({2, 2, side, side});
      const at::Tensor f =
          made->outputs(weights, made->select(weights, at::tensor(std::vector<std::int64_t>{0, 1}, at::kLong)), z).f;
      EXPECT_EQ(f.sizes().vec(), (std::vector<std::int64_t>{2}));
      EXPECT_NE(f[0].item<float>(), f[1].item<float>()) << "t matters: " << net << " " << side;
    }
    for (const LatentShape& shape : {LatentShape{2, 2, 2}, {2, 12, 12}, {2, 256, 256}, {2, 8, 16}}) {
      EXPECT_THROW(make_energy_net(paper_options(net), shape, {}), Error) << shape.height;
    }
  }
  auto by_level = paper_options("cifar10");
  by_level.per_level = true;
  EXPECT_THROW(EnergyPrior(by_level, {{2, 8, 8}}, make_schedule(2), 1), Error);
}

TEST(PaperEnergyNet, ParametersOfThePapersSize) {
  // 30 nets of 20 x 16 x 16 at width 128 are the paper's 63.5 M parameters.
  const auto net = make_energy_net(paper_options("cifar10", 128), {20, 16, 16}, {.num_levels = 3, .seed = 1});
  EXPECT_NEAR(30.0 * static_cast<double>(net->params().size()), 63.5e6, 0.05e6);
}

// Seven products one behind the other, forward and back, each within 2^-9: 2^-9 sqrt(28) = 1e-2 of
// the root mean square.
TEST(PaperEnergyNet, ChainsInBfloat16WithinItsRounding) {
  for (const std::string kind : {"cifar10", "celebahq256"}) {
    const NetSetting setting{.num_levels = 3, .seed = 1, .dtype = at::kFloat};
    NetSetting in_double = setting;
    in_double.dtype = at::kDouble;
    const LatentShape shape{5, 16, 16};
    const auto net = make_energy_net(paper_options(kind, 16), shape, setting);
    const auto exact = make_energy_net(paper_options(kind, 16), shape, in_double);
    const at::Tensor z = normal({6, 5, 16, 16}, 3), t = at::tensor({0, 1, 2, 2, 1, 0}, at::kLong);
    const auto weights = net->weights(false, nets::Precision::kBfloat16), of_exact = exact->weights(false);
    ASSERT_NE(weights.chain, nullptr);
    const at::Tensor leaf = z.clone().requires_grad_(true);
    const at::Tensor truth =
        torch::autograd::grad({exact->outputs(of_exact, exact->select(of_exact, t), leaf).f.sum()}, {leaf})[0];
    const double error =
        test::norm_error(weights.chain->input_gradient(net->select(weights, t), z.to(at::kFloat)), truth);
    EXPECT_LT(error, 2e-2) << kind;
    EXPECT_GT(error, 1e-4) << kind;
  }
}

// u + d changes F by d . dF/du; central differences as in energy_test.cpp.
TEST(PaperEnergyNet, GradientThroughTheTransportMatchesCentralDifferences) {
  vae::HvaeOptions small;
  small.latents = "2x4,3x8";
  small.width = small.image_width = small.pixel_width = small.top_width = 4;
  const vae::Hvae backbone(small, ImageShape{}, {.seed = 1, .dtype = at::kDouble});
  for (const std::string net : {"cifar10", "celebahq256"}) {
    const EnergyPrior prior(paper_options(net), backbone.groups(), make_schedule(3), 5, at::kDouble);
    const auto weights = prior.frozen_weights();
    const Potential potential(prior, backbone, weights, test::chains_at({0, 2}));
    const at::Tensor u = normal({2, backbone.dim()}, 11);
    const at::Tensor gradient = potential.gradient(u);
    ASSERT_GT(gradient.abs().max().item<double>(), 1e-4);
    constexpr double kStep = 1e-5;
    for (std::int64_t e = 0; e < backbone.dim(); e += 17) {
      at::Tensor up = u.clone(), down = u.clone();
      up.select(1, e).add_(kStep);
      down.select(1, e).sub_(kStep);
      const at::Tensor numeric = (potential.value(up) - potential.value(down)) / (2 * kStep);
      EXPECT_LT((numeric - gradient.select(1, e)).abs().max().item<double>(), 1e-8) << net << " " << e;
    }
  }
}

}  // namespace
}  // namespace hebm::prior
