#include "vae/nvae_training.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <functional>
#include <memory>
#include <utility>
#include "vae/recompute.h"

namespace hebm::vae {
namespace {

// weight(convolution) of all.
std::vector<at::Tensor> of_all(const Nvae& net, const auto& weight) {
  std::vector<at::Tensor> out;
  for (const auto& conv : net.modules().convs()) out.push_back(std::invoke(weight, conv));
  return out;
}

// Sets norm and bias of every convolution as it is reached.
class FirstPass final : public Pass {
 public:
  explicit FirstPass(nets::SumOverRanks sum) : Pass({true, 0.0, std::move(sum)}) {}

  at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const override {
    if (conv.log_weight_norm.defined() && !conv.mask.defined()) initialise(conv, x);
    return Pass::conv(conv, x);
  }
 private:
  static constexpr double kSpread = 5.0, kEps = 1e-5;

  void initialise(const NvaeConv& conv, const at::Tensor& x) const {
    const at::Tensor unit = conv.weight / (conv.weight.flatten(1).norm(2, {1}).view({-1, 1, 1, 1}) + kEps);
    const at::Tensor y =
        at::conv2d(x, unit, {}, {conv.stride, conv.stride}, {conv.padding, conv.padding}, {1, 1}, conv.groups)
            .to(at::kCPU, at::kDouble);
    const std::int64_t channels = y.size(1), per_channel = y.numel() / channels;
    const at::Tensor sums = at::empty({2 * channels + 1}, at::kDouble);
    sums.narrow(0, 0, channels).copy_(y.sum({0, 2, 3}));
    sums.narrow(0, channels, channels).copy_(y.square().sum({0, 2, 3}));
    sums[2 * channels].fill_(static_cast<double>(per_channel));
    if (mode_.sum) mode_.sum({sums.data_ptr<double>(), static_cast<std::size_t>(sums.numel())});
    const at::Tensor count = sums[2 * channels], mean = sums.narrow(0, 0, channels) / count;
    const at::Tensor variance = (sums.narrow(0, channels, channels) / count - mean.square()).clamp_min(0.0);
    const at::Tensor spread = kSpread * (variance * count / (count - 1.0)).sqrt() + kEps;
    if (conv.bias.defined()) conv.bias.copy_(-mean / spread);
    conv.log_weight_norm.copy_(-spread.log().view({-1, 1, 1, 1}));
  }
};

// A part that runs twice: batch statistics are measured at the first run, norm by norm, and taken
// again at the second, so that running ones move once and the ranks sum once.
class PartPass final : public Pass {
 public:
  PartPass(const Pass& whole, nets::NormMode mode) : Pass(std::move(mode)), whole_(whole) {}
  void rewind() { next_ = 0; }
  at::Tensor norm(const BatchNorm& norm, const at::Tensor& x, bool silu) const override {
    if (next_ == kept_.size()) kept_.emplace_back();
    nets::NormMode mode = mode_;
    mode.kept = &kept_[next_++];
    return nets::batch_norm(x, norm, mode, silu);
  }
  at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const override { return whole_.conv(conv, x); }
 private:
  const Pass& whole_;
  mutable std::vector<nets::NormStatistics> kept_;
  mutable std::size_t next_ = 0;
};

}  // namespace

NvaeTraining::NvaeTraining(const Nvae& net, nets::SumOverRanks sum, std::uint64_t seed)
    : Pass({.training = true, .sum = std::move(sum)}), net_(net), spectral_(of_all(net, &NvaeConv::weight), seed) {}

void NvaeTraining::warm_up() {
  const c10::NoGradGuard no_grad;
  spectral_.iterate(of_all(net_, &NvaeConv::effective_weight), nets::kFirstPowerIterations - nets::kPowerIterations);
}

void NvaeTraining::initialise(const at::Tensor& x, const at::Tensor& noise) {
  const c10::NoGradGuard no_grad;
  const FirstPass first(mode_.sum);
  const NvaeRun run(net_.parts(), first);
  run.image(net_.posterior(run, x, noise).state);
}

void NvaeTraining::begin_update(bool penalised) {
  const c10::NoGradGuard no_grad;
  effective_.clear();
  for (const auto& conv : net_.modules().convs()) {
    const at::Tensor weight = conv.effective_weight();
    effective_.push_back(weight.is_same(conv.weight) ? weight : weight.detach().requires_grad_(true));
  }
  if (penalised) spectral_.iterate(effective_, nets::kPowerIterations);
}

void NvaeTraining::end_update(const at::Tensor& of_penalty) {
  const c10::AutoGradMode grad_on(true);
  if (of_penalty.defined()) {
    spectral_.backward(effective_, of_penalty);
    for (const auto& norm : net_.modules().norms()) torch::autograd::backward({norm.gamma.abs().amax()}, {of_penalty});
  }
  for (const auto& conv : net_.modules().convs()) {
    const at::Tensor leaf = std::exchange(effective_.at(conv.index), {});
    if (!leaf.is_same(conv.weight) && leaf.grad().defined())
      torch::autograd::backward({conv.effective_weight()}, {leaf.grad()});
  }
  effective_.clear();
}

at::Tensor NvaeTraining::penalty() const {
  const c10::NoGradGuard no_grad;
  at::Tensor out = spectral_.value(effective_);
  for (const auto& norm : net_.modules().norms()) out = out + norm.gamma.abs().amax();
  return out;
}

Tensors NvaeTraining::part(const Part& part, const Tensors& inputs) const {
  if (!recompute_ || !c10::GradMode::is_enabled()) return part(*this, inputs);
  const auto pass = std::make_shared<PartPass>(*this, mode_);
  return recomputed(
      [part, pass](const Tensors& in) {
        pass->rewind();
        return part(*pass, in);
      },
      inputs);
}

at::Tensor NvaeTraining::conv(const NvaeConv& conv, const at::Tensor& x) const {
  return conv.apply(x, effective_[conv.index]);
}

void NvaeTraining::update_decoder_statistics(const at::Tensor& u, double momentum) const {
  const c10::NoGradGuard no_grad;
  const Pass alone({true, momentum, {}});
  net_.decode(NvaeRun(net_.parts(), alone), u, 1.0);
}

std::vector<nets::NamedTensor> NvaeTraining::decoder_statistics() const {
  std::vector<nets::NamedTensor> out;
  for (const auto& state : net_.params().states()) {
    if (state.name.starts_with("dec_tower.") || state.name.starts_with("post_process.")) out.push_back(state);
  }
  return out;
}

}  // namespace hebm::vae
