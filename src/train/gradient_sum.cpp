#include "train/gradient_sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/status.h"

namespace hebm::train {
namespace {

std::span<float> values(const at::Tensor& flat) {
  return {flat.data_ptr<float>(), static_cast<std::size_t>(flat.numel())};
}

// Power of two that puts |x| <= largest below 2^62 even after `terms` additions; 0 where nothing can be scaled.
int shift_for(double largest, std::int64_t terms) {
  if (largest == 0.0) return 0;
  return 61 - static_cast<int>(std::ceil(std::log2(static_cast<double>(terms)))) - (std::ilogb(largest) + 1);
}

}  // namespace

GradientSum::GradientSum(comm::Communicator& comm, std::vector<nets::Parameters*> layers, bool deterministic,
                         std::int64_t num_micro_batches)
    : comm_(comm), layers_(std::move(layers)), deterministic_(deterministic), num_micro_batches_(num_micro_batches),
      kept_(layers_.size()), pending_(layers_.size()) {}

double GradientSum::bytes_per_update() const {
  double total = 0;
  for (const auto* layer : layers_) total += static_cast<double>(layer->size()) * (deterministic_ ? 8 : 4);
  return total;
}

void GradientSum::begin() {
  for (auto* layer : layers_) layer->zero_grad();
}

void GradientSum::backward_done(std::size_t layer, bool last) {
  nets::Parameters& params = *layers_[layer];
  if (deterministic_) {
    kept_[layer].push_back(params.grad().clone());
    params.zero_grad();
  } else if (last) {
    pending_[layer] = comm_.start_sum(values(params.grad()), fmt::format("gradient of layer {}", layer));
  }
}

void GradientSum::finish() {
  const Timer timer;
  if (deterministic_) {
    finish_deterministic();
  } else {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (!pending_[i]) pending_[i] = comm_.start_sum(values(layers_[i]->grad()), fmt::format("gradient of layer {}", i));
    }
    for (auto& p : pending_) {
      p->wait();
      p.reset();
    }
  }
  waited_s_ += timer.seconds();
}

void GradientSum::finish_deterministic() {
  std::vector<double> largest(layers_.size() + 1, 0.0);  // last: 1 where a gradient is not finite
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (const auto& gradient : kept_[i]) {
      for (const float g : values(gradient)) {
        if (!std::isfinite(g)) largest.back() = 1.0;
        largest[i] = std::max(largest[i], static_cast<double>(std::fabs(g)));
      }
    }
  }
  comm_.all_reduce(std::span<double>(largest), comm::Op::kMax);
  const bool finite = largest.back() == 0.0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const int shift = finite ? shift_for(largest[i], num_micro_batches_) : 0;
    std::vector<std::int64_t> sum(static_cast<std::size_t>(layers_[i]->size()), 0);
    for (const auto& gradient : kept_[i]) {
      const auto in = values(gradient);
      for (std::size_t e = 0; finite && e < sum.size(); ++e) sum[e] += std::llrint(std::ldexp(static_cast<double>(in[e]), shift));
    }
    kept_[i].clear();
    comm_.start_sum(std::span<std::int64_t>(sum), fmt::format("gradient of layer {}", i))->wait();
    const auto out = values(layers_[i]->grad());
    for (std::size_t e = 0; e < sum.size(); ++e) {
      out[e] = finite ? static_cast<float>(std::ldexp(static_cast<double>(sum[e]), -shift)) : std::nanf("");
    }
  }
}

}  // namespace hebm::train
