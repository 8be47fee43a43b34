// The registry of visits (RandomCounter::visit). In training a visit is an epoch; what draws for
// the same images or chains under the same seed and purpose, but is no epoch, has visits here.
#pragma once
#include <cstdint>

namespace hebm::visits {

// Of an image's posterior draw (kPosterior, kForwardNoise, kLangevin) outside of training.
inline constexpr std::uint32_t kCache = 1'000'000;   // + draw r < 4096: `encode`
inline constexpr std::uint32_t kScores = 2'000'000;  // `evaluate`
inline constexpr std::uint32_t kPosteriorReference = 2'000'001, kPosteriorFloor = 2'000'002;  // its fd_posterior
inline constexpr std::uint32_t kOod = 3'000'000;        // + 0 the in set, + 1 the out set: `ood`
inline constexpr std::uint32_t kLabelTest = 3'000'002;  // `labels`: the test images
inline constexpr std::uint32_t kHierarchy = 3'000'003;  // `hierarchy`
// A VAE's own measurements: ELBO, re-estimated batch norms.
inline constexpr std::uint32_t kMeasure = 0xffff'ffff;

// Of chains (kPriorNoise, kLangevin): draw 0 is a sample; d > 0 are further draws of its free
// layers (variations, steps of an edit).
constexpr std::uint32_t of_draw(std::int64_t d) { return static_cast<std::uint32_t>(d); }
// Candidate m < kMaxCandidates for the labels of a chain whose visit is below kMaxCandidateVisit.
inline constexpr std::uint32_t kMaxCandidateVisit = 1000, kMaxCandidates = 1u << 20;
constexpr std::uint32_t of_candidate(std::uint32_t visit, std::int64_t m) {
  return (visit + 1) * kMaxCandidates + static_cast<std::uint32_t>(m);
}
// Proposal m of M for a layer (kProposal).
constexpr std::uint32_t of_proposal(std::uint32_t visit, std::int64_t m, std::int64_t proposals) {
  return static_cast<std::uint32_t>(visit * proposals + m);
}

// Of weights at their start (kInit): a visit a net. The backbone has 1.
inline constexpr std::uint32_t kFeatureNet = 100, kProbe = 101, kEnergyNets = 1000;  // + number of the bucket

}  // namespace hebm::visits
