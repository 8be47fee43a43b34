// Counter-based random numbers (Philox4x32-10 of Random123): every draw is a pure function of
// (seed, attempt, purpose; item, visit, t, k, layer, element), so results do not depend on order,
// batch, thread or rank and no state is saved.
#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace hebm {

// With the visits of base/visits.h, the registry of all random streams.
enum class Purpose : std::uint32_t {
  kInit = 1,             // weights at the start; item = running number of the tensor
  kBatchOrder = 2,       // permutation of a visit (epoch)
  kPosterior = 3,        // noise of z ~ q(z|x); item = image, visit = draw or epoch
  kCacheDraw = 4,        // which of the R cached draws
  kDiffusionStep = 5,    // t ~ U{0..T-1}
  kForwardNoise = 6,     // n of u_t
  kTransitionNoise = 7,  // n' of u_{t+1}
  kLangevin = 8,         // noise of a Langevin step (t, k)
  kPriorNoise = 9,       // u_T ~ N(0, I)
  kPixels = 10,          // x ~ p(x|z)
  kBinarise = 11,        // dynamic binarisation, dequantisation
  kSpectral = 12,        // start of power-iteration vectors
  kSubset = 13,          // choice of images for evaluation
  kAugment = 14,
  kTest = 15,
  kProposal = 16,      // of a layer's prior, for importance resampling (t = layer), and the choice among them (k = 1)
  kContrast = 17,      // negatives of a layer's classifier (t = layer)
  kChainStart = 18,    // n of a chain's start (langevin.start = kernel), by t
  kReverseNoise = 19,  // u_T of training's reverse chains (train.chain = reverse)
};

struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t attempt = 0;  // incremented by every rollback
  Purpose purpose = Purpose::kTest;
};

// Names one stream of elements. Limits: layer < 256, t < 1024, k < 2^22, element < 2^26.
struct RandomCounter {
  std::uint32_t item = 0;   // image or chain number
  std::uint32_t visit = 0;  // epoch; draws outside of training have those of base/visits.h
  std::uint32_t t = 0;
  std::uint32_t k = 0;
  std::uint32_t layer = 0;
};

// out[e] for e = first_element, first_element + 1, ...; two calls agree where they overlap.
void fill_normal(
    std::span<float> out, const RandomKey& key, const RandomCounter& counter, std::uint32_t first_element = 0);
void fill_uniform(std::span<float> out, const RandomKey& key, const RandomCounter& counter,
    std::uint32_t first_element = 0);  // [0, 1), 24 bits

// For kernels that draw on their own (random_stream.h): the Philox key of a stream, and the limits
// above for elements [0, num_elements).
std::array<std::uint32_t, 2> stream_key(const RandomKey& key);
void check_counter(const RandomCounter& counter, std::uint64_t num_elements);

// One 32-bit word (element 0 of the stream).
std::uint32_t draw_u32(const RandomKey& key, const RandomCounter& counter);
// Uniform in {0..bound-1} without bias worth naming (64-bit multiply-shift); bound >= 1.
std::uint32_t draw_below(std::uint32_t bound, const RandomKey& key, const RandomCounter& counter);

// Value at `index` of a pseudo-random permutation of {0..count-1} keyed by (key, visit), in O(1).
std::uint64_t permute(std::uint64_t index, std::uint64_t count, const RandomKey& key, std::uint32_t visit);

}  // namespace hebm
