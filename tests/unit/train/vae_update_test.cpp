#include "train/vae_update.h"
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <unordered_map>
#include <utility>
#include "../nets/support.h"
#include "train/train_vae.h"
#include "vae/nvae.h"

namespace hebm::train {
namespace {

// Memory of the host's tensors, as usual, and the most that they held at once.
class CountingAllocator final : public c10::Allocator {
 public:
  static CountingAllocator& get() {                  // used for all tensors from the first call on
    static auto* const out = new CountingAllocator;  // they may outlive main()
    return *out;
  }
  c10::DataPtr allocate(std::size_t bytes) override {
    void* const memory = usual_.raw_allocate(bytes);
    sizes_[memory] = static_cast<std::int64_t>(bytes);
    held_ += sizes_[memory];
    peak_ = std::max(peak_, held_);
    return {memory, memory, &let_go, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &let_go; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
  std::int64_t held() const { return held_; }
  std::int64_t peak_from_here() { return std::exchange(peak_, held_); }  // and the peak until here
 private:
  CountingAllocator() {
    constexpr std::uint8_t kPriority = 255;
    c10::SetAllocator(c10::kCPU, this, kPriority);
  }
  static void let_go(void* memory) {
    CountingAllocator& mine = get();
    if (const auto size = mine.sizes_.find(memory); size != mine.sizes_.end()) {
      mine.held_ -= size->second;
      mine.sizes_.erase(size);
    }
    mine.usual_.raw_deallocate(memory);
  }
  c10::Allocator& usual_ = *c10::GetAllocator(c10::kCPU);
  std::unordered_map<void*, std::int64_t> sizes_;
  std::int64_t held_ = 0, peak_ = 0;  // of one thread
};

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

// What an update's tensors hold at once, against the plan. The process holds more: what libraries
// copy and malloc keeps, which depends on the processor.
void expect_peak(bool recompute, std::int64_t images) {
  CountingAllocator& memory = CountingAllocator::get();
  at::set_num_threads(1);
  VaeTrainOptions options;
  options.recompute = recompute;
  vae::Nvae planned = small_net(at::kMeta), net = small_net(at::kCPU);
  const auto expected = static_cast<double>(vae_training_bytes(options, planned, images));
  const auto statistics = net.batch_statistics({}, 0);
  statistics->recompute(options.recompute);
  const VaeTerms terms{.batch = images, .micro_batch = images, .kl_weights = [](const auto& kl) {
                         return std::vector<double>(kl.size(), 1.0);
                       }};
  const at::Tensor x = test::random_tensor({images, 1, 32, 32}, 1).abs().clamp_max(1.0).to(at::kFloat),
                   noise = test::random_tensor({images, net.dim()}, 2).to(at::kFloat);
  memory.peak_from_here();
  const std::int64_t before = memory.held();
  vae_backward(net, statistics.get(), {x, noise}, terms);
  const auto taken = static_cast<double>(memory.peak_from_here() - before);
  EXPECT_NEAR(taken, expected, 0.05 * expected);
}

TEST(VaeTrainingBytes, AreThePeakOfAnUpdate) { expect_peak(false, 32); }
TEST(VaeTrainingBytes, AreThePeakOfARecomputingUpdate) { expect_peak(true, 64); }

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
