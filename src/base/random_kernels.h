// The vector loops under random.h: blocks of Philox4x32-10 counters (c0, c0 + 1, ...) turned into
// uniforms or normals. One body (random_stream.h) compiled for several instruction sets; the bits
// are the same for all of them, which a test checks.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace hebm::detail {

enum class Isa { kBaseline, kAvx2, kAvx512 };

// The widest one that this processor and build have.
Isa best_isa();
bool isa_supported(Isa isa);

struct PhiloxStream {
  std::array<std::uint32_t, 2> key{};
  std::array<std::uint32_t, 4> counter{};  // of the first block of four
};

// out[4 * i + w] from word w of counter (c0 + i, c1, c2, c3), for i in [0, num_counters).
// Box-Muller: words (0, 1) give elements 0, 1 and words (2, 3) elements 2, 3. |normal| <= 6.67,
// never NaN or inf; relative error of the radius and absolute error of sine and cosine <= 3.6e-7
// against exact arithmetic on u and angle.
void philox_normals(Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream);
void philox_uniforms(Isa isa, float* out, std::size_t num_counters, const PhiloxStream& stream);

}  // namespace hebm::detail
