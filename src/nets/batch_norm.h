// Batch norm in train mode, synchronised over ranks (Ioffe & Szegedy 2015; NVAE, Sec. 3.2):
// statistics are those of the global batch, summed in float64, so values agree for any number of
// ranks but only to rounding: bits depend on how the batch is dealt out. Every rank must run the
// same layers in the same order, forward and backward.
#pragma once
#include <ATen/core/Tensor.h>
#include <functional>
#include <span>
#include <vector>

namespace hebm::nets {

// Adds the values over all ranks, in place. Empty: this process is alone.
using SumOverRanks = std::function<void(std::span<double>)>;

// Of the global batch, by channel.
struct NormStatistics {
  double count = 0;                   // values a channel; 0: not measured
  std::vector<double> mean, inverse;  // inverse: 1 / sqrt(var + eps)
};

struct NormMode {
  bool training = false;   // statistics of the batch; else the running ones
  double momentum = 0.05;  // running = (1 - momentum) running + momentum batch
  SumOverRanks sum;
  // Given: measured statistics are taken from here, and nothing is summed and no running one moves;
  // else they are left here.
  NormStatistics* kept = nullptr;
};

// gamma, beta [C]: trained. running_mean, running_var [C]: state; the variance is the unbiased one
// (n / (n - 1)).
struct BatchNormTensors {
  at::Tensor gamma, beta, running_mean, running_var;
  double eps = 1e-5;
};

// act((x - mean) / sqrt(var + eps) * gamma + beta), act = SiLU or none; x [B, C, H, W], this rank's
// part of the batch (any number of rows). In train mode differentiable in x, gamma and beta (their
// gradients are this rank's share, as of any parameter), and the running statistics move, without
// gradient. Error(kRuntime) when the global batch has one value a channel.
at::Tensor batch_norm(const at::Tensor& x, const BatchNormTensors& norm, const NormMode& mode, bool silu);

}  // namespace hebm::nets
