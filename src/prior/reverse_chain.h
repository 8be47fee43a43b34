// Alg. 2: from u_T ~ N(0, I) down to u_0, one Langevin chain a level; or from a given u_t (score by
// level); or with some latent layers held (hierarchical sampling, Fig. 2).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <vector>
#include "prior/langevin.h"
#include "prior/potential.h"

namespace hebm::prior {

// What the nets' output is: s^2 F (an EBM's) or F itself (the logits of classifiers).
enum class NetOutput { kScaled, kLogit };

// Called around every Langevin step: level t, step k (see ChainObserver).
using ReverseObserver = std::function<void(std::int64_t t, std::int64_t k, const at::Tensor& y)>;

// t = first, first - 1, ..., last: from u_{first + 1} to u_last. None where last > first. A number
// alone means down to u_0.
struct LevelRange {
  LevelRange(std::int64_t first_level, std::int64_t last_level = 0) : first(first_level), last(last_level) {}
  std::int64_t first, last;
};

// Layers that the chains of all levels leave where they are, so that the others are drawn given
// them: at level t they stand at their own noised values u_t (ReverseChain::held), where the net of
// level t knows them; a chain that goes down to u_0 ends with u_0 itself, bit by bit.
struct HeldLayers {
  std::vector<std::int64_t> layers;  // i, top first
  at::Tensor u_0;                    // [B, D]; only the held layers' columns are read, here and in u_t
  std::vector<at::Tensor> u_t;       // [T] of [B, D]
};

// What chains may have beside their start.
struct ReverseExtras {
  const HeldLayers* held = nullptr;     // of all levels
  const LabelChoice* labels = nullptr;  // of the chain at t = 0 (Eq. 20); null: any
  ReverseObserver observer{};
};

class ReverseChain {
 public:
  // References must outlive this object. A marginal EBM (Eq. 4, 8; make_marginal_schedule) is the
  // case of one level without a kernel: K steps from N(0, I) to draws of p(u) exp F(u).
  ReverseChain(const EnergyPrior& prior, const vae::Backbone& backbone, const LangevinOptions& langevin,
      NetOutput output = NetOutput::kScaled);
  // u [B, D] is u_{first + 1}; returns u_last. Row b's noise is keyed by (ids[b], t, k). A level
  // that ends with NaN or Inf is Error(kDiverged) naming t, layer and image. between_steps of the
  // options is called before every Langevin step.
  at::Tensor run(at::Tensor u, LevelRange range, const ChainIds& ids, const ReverseExtras& extras = {}) const;
  // The chain of t = 0 that starts at `start` in place of u_1 [B, D each]; else as run().
  at::Tensor run_at_zero(
      const at::Tensor& start, const at::Tensor& u1, const ChainIds& ids, const ReverseExtras& extras = {}) const;
  // All of it from noise: u_T is drawn here too.
  at::Tensor sample(const ChainIds& ids, const ReverseExtras& extras = {}) const;
  // These layers of u0, at every level where one draw of Eq. 7 has them.
  HeldLayers held(std::vector<std::int64_t> layers, const at::Tensor& u0, const ChainIds& ids) const;
  // u_T of these chains, [B, D] ~ N(0, I).
  at::Tensor noise(const ChainIds& ids) const { return prior_noise(ids, backbone_.dim(), device()); }
  std::int64_t num_levels() const { return prior_.num_levels(); }
  // log p(y | u_0) of every head, [B, C] (Eq. 19).
  std::vector<at::Tensor> label_log_probability(const at::Tensor& u0) const;
  // What the label heads read of u_0 [B, D], by layer: [L][B, label_rows(i)] g, undefined for
  // layers without (label_heads.h, Eq. 19).
  std::vector<at::Tensor> label_outputs(const at::Tensor& u0) const;
  // -F(z, t) / s_t^2 of states y [B, D] of level t, [B] (F-hat with label heads at t = 0): the
  // energy that the nets add to the Gaussian terms.
  at::Tensor energy(const at::Tensor& y, std::int64_t t) const;
 private:
  at::Device device() const { return backbone_.params().device(); }
  // The chain of one level: to u_t given u_{t+1}, from `start` where it is given.
  at::Tensor run_level(const at::Tensor& u_next, std::int64_t t, const ChainIds& ids, const ReverseExtras& extras,
      const at::Tensor& start = {}) const;
  void expect_finite(const at::Tensor& u, std::int64_t t, const ChainIds& ids) const;
  // The potential of so many states of level t.
  Potential potential(std::int64_t count, std::int64_t t) const;
  // Writes the held layers' columns of `values` into y, in place.
  void hold(const at::Tensor& y, const at::Tensor& values, const std::vector<std::int64_t>& layers) const;

  const EnergyPrior& prior_;
  const vae::Backbone& backbone_;
  LangevinOptions langevin_;
  std::vector<StepCoefficients> coefficients_;
  std::vector<EnergyNet::Weights> weights_;
};

// Images for a label (Eq. 20, 21). Only the chain of t = 0 knows y, and in K steps it hardly leaves
// the class where it starts. So one of M candidates (u_1, u_0) of the unlabelled chains is taken
// with probability ~ p(y | u_0)^guidance: importance resampling, exact for M -> infinity. The chain
// of t = 0 for y goes on from its u_0; with M = 1, the paper's way, from u_1.
struct LabelCandidates {
  std::vector<at::Tensor> u1, u0;                        // [M] of [B, D]
  std::vector<std::vector<at::Tensor>> log_probability;  // [M][heads] of [B, C], of u0 (Eq. 19)
};

// M draws a row, with random numbers of their own; M = 1: u_1 alone, that of `chain.sample`. ids:
// visits below 1,000.
LabelCandidates draw_candidates(
    const ReverseChain& chain, std::int64_t candidates, const ChainIds& ids, const HeldLayers* held = nullptr);
// Row by row which of them, for the categories and the guidance of choice. M > 1.
std::vector<std::int64_t> choose_candidates(
    const LabelCandidates& candidates, const LabelChoice& choice, const ChainIds& ids);
// u_0 [B, D]: the choice and the chain of t = 0; and all of it.
at::Tensor finish_for_labels(const ReverseChain& chain, const LabelCandidates& candidates, const LabelChoice& choice,
    const ChainIds& ids, const HeldLayers* held = nullptr);
at::Tensor sample_for_labels(const ReverseChain& chain, const LabelChoice& choice, std::int64_t candidates,
    const ChainIds& ids, const HeldLayers* held = nullptr);

}  // namespace hebm::prior
