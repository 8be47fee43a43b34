#include "base/random.h"
#include <algorithm>
#include <array>
#include <bit>
#include "base/error.h"
#include "base/random_kernels.h"

namespace hebm {
namespace {

using detail::Law;
using detail::philox;
using detail::PhiloxStream;
using detail::PhiloxWords;

constexpr std::uint32_t kMaxLayer = 1u << 8, kMaxT = 1u << 10, kMaxK = 1u << 22;
constexpr std::uint64_t kMaxElement = 1u << 26;
constexpr std::size_t kPadCounters = 16;  // the tail is made in a whole vector block, so every path is the vector path

// The one Philox call that turns (seed, attempt, purpose) into keys. Words 0, 1: stream_key, the
// key of draws; words 2, 3: the key of permutations.
PhiloxWords derive(const RandomKey& key) {
  return philox({static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32), key.attempt,
                    static_cast<std::uint32_t>(key.purpose)},
      0x6865626du, 0x64697374u);  // "hebm" and "dist" in ASCII
}

PhiloxStream open_stream(
    const RandomKey& key, const RandomCounter& c, std::uint64_t first_element, std::uint64_t count) {
  check_counter(c, first_element + count);
  const auto block = static_cast<std::uint32_t>(first_element / 4);
  return {stream_key(key), detail::counter_words(block, c.item, c.visit, c.t, c.k, c.layer)};
}

// Whole groups of four go straight to `out`; a ragged head and tail pass through a small block.
void fill(
    Law law, std::span<float> out, const RandomKey& key, const RandomCounter& counter, std::uint32_t first_element) {
  if (out.empty()) return;
  static const detail::Isa isa = detail::best_isa();
  PhiloxStream stream = open_stream(key, counter, first_element, out.size());
  std::array<float, 4 * kPadCounters> block;
  std::size_t done = 0;
  if (const std::size_t skip = first_element % 4; skip != 0) {
    philox_fill(law, isa, block.data(), kPadCounters, stream);
    done = std::min(out.size(), block.size() - skip);
    std::copy_n(block.begin() + skip, done, out.begin());
    stream.counter.w0 += kPadCounters;
  }
  const std::size_t whole = (out.size() - done) / block.size() * kPadCounters;
  philox_fill(law, isa, out.data() + done, whole, stream);
  done += 4 * whole;
  stream.counter.w0 += static_cast<std::uint32_t>(whole);
  if (done == out.size()) return;
  philox_fill(law, isa, block.data(), kPadCounters, stream);
  std::copy_n(block.begin(), out.size() - done, out.begin() + done);
}

PhiloxWords first_words(const RandomKey& key, const RandomCounter& counter) {
  const PhiloxStream stream = open_stream(key, counter, 0, 4);
  return philox(stream.counter, stream.key[0], stream.key[1]);
}

}  // namespace

std::array<std::uint32_t, 2> stream_key(const RandomKey& key) {
  const PhiloxWords derived = derive(key);
  return {derived.w0, derived.w1};
}

void check_counter(const RandomCounter& c, std::uint64_t num_elements) {
  check(c.layer < kMaxLayer && c.t < kMaxT && c.k < kMaxK && num_elements <= kMaxElement, ExitCode::kRuntime,
      "random counter out of range: layer {} (limit {}), t {} ({}), k {} ({}), {} elements ({})", c.layer, kMaxLayer,
      c.t, kMaxT, c.k, kMaxK, num_elements, kMaxElement);
}

void fill_normal(
    std::span<float> out, const RandomKey& key, const RandomCounter& counter, std::uint32_t first_element) {
  fill(Law::kNormal, out, key, counter, first_element);
}

void fill_uniform(
    std::span<float> out, const RandomKey& key, const RandomCounter& counter, std::uint32_t first_element) {
  fill(Law::kUniform, out, key, counter, first_element);
}

std::uint32_t draw_u32(const RandomKey& key, const RandomCounter& counter) { return first_words(key, counter).w0; }

std::uint32_t draw_below(std::uint32_t bound, const RandomKey& key, const RandomCounter& counter) {
  check(bound >= 1, ExitCode::kRuntime, "draw_below: the bound must be at least 1, got 0");
  const PhiloxWords w = first_words(key, counter);
  // High word of (w0 : w1) * bound: bias below bound / 2^64.
  const std::uint64_t low = (static_cast<std::uint64_t>(w.w1) * bound) >> 32;
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(w.w0) * bound + low) >> 32);
}

// Balanced Feistel network on the smallest even number of bits that holds `count`, walked along its
// cycle until the value is below `count` (on average <= 4 steps). A round is one Philox call.
std::uint64_t permute(std::uint64_t index, std::uint64_t count, const RandomKey& key, std::uint32_t visit) {
  constexpr std::uint32_t kRounds = 8;
  check(index < count, ExitCode::kRuntime, "permute: index {} is not below the count {}", index, count);
  const PhiloxWords derived = derive(key);
  const int half_bits = std::max(1, (static_cast<int>(std::bit_width(count - 1)) + 1) / 2);
  const std::uint32_t mask = static_cast<std::uint32_t>((std::uint64_t{1} << half_bits) - 1);
  do {
    std::uint32_t left = static_cast<std::uint32_t>(index >> half_bits),
                  right = static_cast<std::uint32_t>(index) & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint32_t mixed = left ^ (philox({right, round, visit, 0}, derived.w2, derived.w3).w0 & mask);
      left = right;
      right = mixed;
    }
    index = static_cast<std::uint64_t>(left) << half_bits | right;
  } while (index >= count);
  return index;
}

}  // namespace hebm
