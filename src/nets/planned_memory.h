// How much memory tensor work would take: it runs on tensors without data (device kMeta), whose
// sizes are counted when they are made and let go. So the figure follows the code, its graph and
// what the backward pass frees.
#pragma once
#include <cstdint>
#include <functional>

namespace hebm::nets {

// Freed blocks of at least so many bytes go back to the system; smaller ones stay with the process,
// since fresh pages cost time. kLean: where memory counts more.
inline constexpr std::int64_t kGoesBack = std::int64_t{32} << 20, kGoesBackLean = std::int64_t{1} << 20;
// Of the process, from now on.
void let_go_from(std::int64_t bytes);

// Bytes at the peak of work(), beside what is there before: of tensors on kMeta alone, and what
// oneDNN's convolutions hold while they run. What blocks below `goes_back` held at most stays. One
// call at a time in the process.
std::int64_t planned_peak(const std::function<void()>& work, std::int64_t goes_back = kGoesBack);

}  // namespace hebm::nets
