// What a GPU computes against the host, on a GPU: skipped where there is none (docs/building.md,
// CUDA). Noise and Langevin steps are the host's bits; nets and transport round differently.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <cstring>
#include "nets/device.h"
#include "noise.h"
#include "prior/langevin.h"
#include "prior/potential.h"
#include "vae/hvae.h"

namespace hebm::prior {
namespace {

const RandomKey kKey{0x1234567890abcdefull, 3, Purpose::kLangevin};

ChainIds many_ids(std::int64_t count) {
  ChainIds ids{{}, {}, kKey.seed, kKey.attempt};
  for (std::int64_t b = 0; b < count; ++b) {
    ids.item.push_back(static_cast<std::uint32_t>(b * 2654435761u));
    ids.visit.push_back(static_cast<std::uint32_t>(b % 7));
  }
  return ids;
}

std::vector<std::int64_t> many_levels(std::int64_t count) {
  std::vector<std::int64_t> levels;
  for (std::int64_t b = 0; b < count; ++b) levels.push_back(b % 3);
  return levels;
}

std::int64_t different_values(const at::Tensor& host, const at::Tensor& gpu) {
  const at::Tensor there = gpu.cpu();
  const float *a = host.const_data_ptr<float>(), *b = there.const_data_ptr<float>();
  std::int64_t out = 0;
  for (std::int64_t i = 0; i < host.numel(); ++i) out += std::memcmp(a + i, b + i, sizeof(float)) != 0 ? 1 : 0;
  return out;
}

vae::Hvae small_vae() {
  vae::HvaeOptions o;
  o.latents = "2x2,3x4,2x8";
  o.width = o.image_width = o.pixel_width = o.top_width = 8;
  return vae::Hvae(o, ImageShape{}, {.seed = 1});
}

EnergyOptions small_energy(const std::string& net) {
  EnergyOptions o;
  o.net = *value_named<NetKind>(net);
  o.width = 16;
  return o;
}

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "wants the preset cuda and a GPU";
    nets::use_exact_arithmetic();
  }
  const at::Device device_{at::kCUDA, 0};
};

// The second: more rows than a grid has.
TEST_F(Gpu, DrawsTheNormalsOfTheHost) {
  for (const auto& [count, dim] : {std::pair<std::int64_t, std::int64_t>{500, 4099}, {70000, 6}}) {
    const ChainIds ids = many_ids(count);
    const auto levels = many_levels(count);
    const at::Tensor host = Chains(ids, levels, at::kCPU).normals(kKey.purpose, dim),
                     gpu = Chains(ids, levels, device_).normals(kKey.purpose, dim);
    EXPECT_EQ(different_values(host, gpu), 0) << "of " << count << " x " << dim;
  }
}

TEST_F(Gpu, TakesTheStepsOfTheHost) {
  constexpr std::int64_t kCount = 300, kDim = 1021, kSteps = 5;
  const ChainIds ids = many_ids(kCount);
  const auto levels = many_levels(kCount);
  const at::Tensor start = test::normal_rows(kDim, {5, 0, Purpose::kTest}, ids),
                   next = test::normal_rows(kDim, {6, 0, Purpose::kTest}, ids);
  const auto gradient = [](const at::Tensor& y) { return (y * -0.37f).contiguous(); };
  const auto end_on = [&](at::Device device) {
    return langevin(Chains(ids, levels, device), next.to(device), gradient, step_coefficients(make_schedule(3), {}),
        kSteps, {.start = start.to(device)});
  };
  const at::Tensor host = end_on(at::kCPU), gpu = end_on(device_);
  EXPECT_EQ(different_values(host, gpu), 0);
}

// Through nets and transport, K steps by a graph and one by one: the same kernels, so the same
// bits; with layers held, too.
TEST_F(Gpu, RecordedStepsAreThoseThatAreQueued) {
  vae::Hvae backbone = small_vae();
  EnergyPrior prior(small_energy("small"), backbone.groups(), make_schedule(2), 5);
  prior.to(device_);
  backbone.params().to(device_);
  const Chains chains(many_ids(40), 1, device_);
  const at::Tensor u = test::normal_rows(backbone.dim(), {3, 0, Purpose::kTest}, many_ids(40)).to(device_);
  const auto weights = prior.frozen_weights();
  const Potential potential(prior, backbone, weights, chains);
  const auto gradient = [&](const at::Tensor& y) { return potential.gradient(y); };
  const Constraint hold = [&](const at::Tensor& y) { y.narrow(1, 0, 8).copy_(u.narrow(1, 0, 8)); };
  for (const Constraint& constraint : {Constraint(), hold}) {
    const auto run = [&](bool graphs) {
      nets::set_graphs(graphs);
      const at::Tensor out =
          langevin(chains, u, gradient, step_coefficients(prior.schedule(), {}), 12, {.constraint = constraint}).cpu();
      nets::set_graphs(true);
      return out;
    };
    const at::Tensor queued = run(false);
    for (int time = 0; time < 12; ++time) EXPECT_EQ(different_values(queued, run(true)), 0);
    EXPECT_NE(different_values(queued, u.cpu()), 0);
  }
}

// Rounding of float32 sums of up to 1,000 terms in another order: 1e-5 of the largest value.
TEST_F(Gpu, GradientThroughTheTransportIsTheHosts) {
  vae::Hvae backbone = small_vae();
  for (const std::string net : {"small", "dense"}) {
    const ChainIds ids = many_ids(40);
    const at::Tensor u = test::normal_rows(backbone.dim(), {3, 0, Purpose::kTest}, ids);
    EnergyPrior prior(small_energy(net), backbone.groups(), make_schedule(2), 5);
    const at::Tensor host = Potential(prior, backbone, prior.frozen_weights(), Chains(ids, 1, at::kCPU)).gradient(u);
    prior.to(device_);
    backbone.params().to(device_);
    const at::Tensor gpu =
        Potential(prior, backbone, prior.frozen_weights(), Chains(ids, 1, device_)).gradient(u.to(device_)).cpu();
    backbone.params().to(at::kCPU);
    EXPECT_LT((host - gpu).abs().max().item<float>(), 1e-5f * host.abs().max().item<float>()) << net;
  }
}

}  // namespace
}  // namespace hebm::prior
