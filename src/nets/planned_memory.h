// How much memory tensor work would take: it runs on tensors without data (device kMeta), whose
// sizes are counted when they are made and let go. So the figure follows the code, its graph and
// what the backward pass frees.
#pragma once
#include <cstdint>
#include <functional>

namespace hebm::nets {

// Bytes at the peak of work(), beside what is there before: of tensors on kMeta alone, and what
// oneDNN's convolutions hold while they run. One call at a time in the process.
std::int64_t planned_peak(const std::function<void()>& work);

}  // namespace hebm::nets
