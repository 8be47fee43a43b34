// How much of a label a few numbers tell: a small classifier is trained on them, and judged on
// others.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>

namespace hebm::evaluate {

struct LabelledRows {
  at::Tensor x;       // [n, D] float32, host
  at::Tensor labels;  // [n] int64, 0 .. num_classes - 1
};

// Accuracy on `judged` of a net of one hidden layer of 64 (SiLU), Adam, 10 epochs of `rows`. A
// function of its arguments: the same bits on any number of threads.
double probe_accuracy(
    const LabelledRows& rows, const LabelledRows& judged, std::int64_t num_classes, std::uint64_t seed);

}  // namespace hebm::evaluate
