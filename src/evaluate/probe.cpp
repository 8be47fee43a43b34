#include "evaluate/probe.h"
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <algorithm>
#include <vector>
#include "base/visits.h"
#include "data/batch_order.h"
#include "nets/layers.h"
#include "nets/one_thread.h"
#include "nets/optimiser.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kHidden = 64, kEpochs = 10, kBatch = 100, kWarmup = 20;
constexpr double kRate = 2e-3, kGain = 1.7;

struct Net {
  nets::Linear hidden, out;
  at::Tensor operator()(const at::Tensor& x) const { return out(at::silu(hidden(x))); }
};

}  // namespace

double probe_accuracy(
    const LabelledRows& rows, const LabelledRows& judged, std::int64_t num_classes, std::uint64_t seed) {
  const nets::OneThread one_thread;
  const std::int64_t count = rows.x.size(0), batch = std::min(kBatch, count);
  nets::Parameters params(seed, visits::kProbe);
  const Net net{nets::make_linear(params, "hidden", rows.x.size(1), kHidden, kGain),
      nets::make_linear(params, "out", kHidden, num_classes)};
  params.flatten();
  nets::Optimiser optimiser(params, {});
  const data::BatchOrder order(count, batch, seed);
  const nets::RateSchedule rate{
      .base = kRate, .kind = nets::RateKind::kLinear, .warmup = kWarmup, .total = kEpochs * count / batch};
  for (std::int64_t update = 0; update < rate.total; ++update) {
    std::vector<std::int64_t> members;
    for (const auto& place : order.members(update, 0, batch)) members.push_back(place.position);
    const at::Tensor index = at::tensor(members, at::kLong);
    const c10::AutoGradMode grad_on(true);
    params.zero_grad();
    torch::autograd::backward(
        {at::cross_entropy_loss(net(rows.x.index_select(0, index)), rows.labels.index_select(0, index))}, {});
    optimiser.step(nets::scheduled_rate(rate, update));
  }
  const c10::NoGradGuard no_grad;
  return net(judged.x).argmax(1).eq(judged.labels).to(at::kDouble).mean().item<double>();
}

}  // namespace hebm::evaluate
