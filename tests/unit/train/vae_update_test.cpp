#include "train/vae_update.h"
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <fstream>
#include <string>
#include "../nets/support.h"
#include "train/train_vae.h"
#include "vae/nvae.h"

namespace hebm::train {
namespace {

// Of this process, bytes: "VmRSS" now, "VmHWM" at its peak.
double memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return 1024.0 * std::stod(line.substr(name.size() + 1));
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

vae::Nvae small_net(at::Device device) {
  vae::NvaeOptions options;
  options.channels = 24;
  options.scales = 2;
  options.groups_per_scale = 3;
  options.latents = 8;
  options.preprocess_blocks = options.postprocess_blocks = 1;
  options.preprocess_cells = options.postprocess_cells = 1;
  options.flows = 1;
  return {options, {1, 32, 32}, {.seed = 5, .device = device}};
}

// What an update really takes, against the plan: within 15 %.
void expect_peak(const VaeTrainOptions& options, std::int64_t images) {
  vae::Nvae planned = small_net(at::kMeta), net = small_net(at::kCPU);
  const auto expected = static_cast<double>(vae_training_bytes(options, planned, images));
  const auto statistics = net.batch_statistics({}, 0);
  statistics->recompute(options.recompute);
  nets::let_go_from(goes_back_from(options.recompute));
  VaeTerms terms{.batch = images, .kl_weights = [](const auto& kl) { return std::vector<double>(kl.size(), 1.0); }};
  const auto update = [&](std::int64_t count) {
    terms.micro_batch = count;
    const at::Tensor x = test::random_tensor({count, 1, 32, 32}, 1).abs().clamp_max(1.0).to(at::kFloat);
    vae_backward(net, statistics.get(), {x, test::random_tensor({count, net.dim()}, 2).to(at::kFloat)}, terms);
  };
  update(2);  // what libraries keep from their first call on
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew
  const double before = memory("VmRSS");
  update(images);
  const double taken = memory("VmHWM") - before;
  EXPECT_NEAR(taken, expected, 0.15 * expected) << taken / 1048576 << " MiB";
}

void expect_peak_alone(bool recompute, std::int64_t images) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer takes memory of its own";
#endif
  at::set_num_threads(1);
  VaeTrainOptions options;
  options.recompute = recompute;
  expect_peak(options, images);
}

// The first of the two: what the other leaves free in the heap would be taken before large blocks.
TEST(VaeTrainingBytes, AreThePeakOfARecomputingUpdate) { expect_peak_alone(true, 64); }
TEST(VaeTrainingBytes, AreThePeakOfAnUpdate) { expect_peak_alone(false, 32); }

TEST(VaeTrainingBytes, AreFewerWithRecomputation) {
  vae::Nvae planned = small_net(at::kMeta);
  VaeTrainOptions options;
  const std::int64_t kept = vae_training_bytes(options, planned, 200);
  options.recompute = true;
  const std::int64_t again = vae_training_bytes(options, planned, 200);
  EXPECT_LT(again, kept / 2);
  EXPECT_GT(again, kept / 100);
}

}  // namespace
}  // namespace hebm::train
