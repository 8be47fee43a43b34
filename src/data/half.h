// float32 <-> IEEE float16 of whole arrays: round to nearest even, subnormals kept even when the
// thread flushes them (the Langevin threads do). By F16C where the processor has it, else by
// integer arithmetic; both give the same bits.
#pragma once
#include <cstdint>
#include <span>

namespace hebm::data {

inline constexpr float kMaxHalf = 6e4f;  // the largest |u| that a float16 cache takes; the format ends at 65504

void to_half(std::span<const float> in, std::span<std::uint16_t> out);    // equal sizes
void from_half(std::span<const std::uint16_t> in, std::span<float> out);  // equal sizes
// The paths without F16C, for tests and other processors.
void to_half_portable(std::span<const float> in, std::span<std::uint16_t> out);
void from_half_portable(std::span<const std::uint16_t> in, std::span<float> out);

}  // namespace hebm::data
