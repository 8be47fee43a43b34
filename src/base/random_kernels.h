// The vector loops under random.h: blocks of Philox4x32-10 counters (c0, c0 + 1, ...) turned into
// uniforms or normals. One body (random_stream.h) compiled for several instruction sets; the bits
// are the same for all of them, which a test checks.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include "base/random_stream.h"

namespace hebm::detail {

enum class Isa { kBaseline, kAvx2, kAvx512 };

// The widest one that this processor and build have.
Isa best_isa();
bool isa_supported(Isa isa);

enum class Law { kUniform, kNormal };

struct PhiloxStream {
  std::array<std::uint32_t, 2> key{};
  PhiloxWords counter{};  // of the first block of four
};

// out[4 * i + w] from word w of counter (c0 + i, c1, c2, c3), for i in [0, num_counters). Relative
// error of a normal's radius and absolute error of its sine and cosine <= 3.6e-7 against exact
// arithmetic on u and angle.
void philox_fill(Law law, Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream);

}  // namespace hebm::detail
