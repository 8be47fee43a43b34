// Options of the chains and the energy nets.
#pragma once
#include <c10/core/ScalarType.h>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>
#include "base/options.h"
#include "nets/precision.h"

namespace hebm::prior {

// s_t^2. natural: 2 step / P_t; paper: eta sigma_cum[t]/sigma_cum[0] sigma[t+1]^2.
enum class StepRule { kNatural, kPaper };
constexpr std::array<Choice<StepRule>, 2> choices_of(StepRule) {
  return {{{"natural", StepRule::kNatural}, {"paper", StepRule::kPaper}}};
}
// paper: Euler-Maruyama; exact: the Gaussian terms by an Ornstein-Uhlenbeck step.
enum class Integrator { kPaper, kExact };
constexpr std::array<Choice<Integrator>, 2> choices_of(Integrator) {
  return {{{"paper", Integrator::kPaper}, {"exact", Integrator::kExact}}};
}

// Where the chain of a level starts, given u_{t+1}: kernel: at a draw of the law that the Gaussian
// terms have alone, alpha[t+1] u_{t+1} + sigma[t+1] n; next: at u_{t+1} itself, as in the paper.
enum class ChainStart { kKernel, kNext };
constexpr std::array<Choice<ChainStart>, 2> choices_of(ChainStart) {
  return {{{"kernel", ChainStart::kKernel}, {"next", ChainStart::kNext}}};
}

struct LangevinOptions {
  std::int64_t steps = 30;      // K
  std::int64_t zero_steps = 0;  // K at t = 0, of priors with label heads (couple.steps); 0: steps
  double eta = 3e-5;            // of `paper`; 3e-5: the paper on CIFAR-10, 2e-5: on CelebA-HQ-256
  StepRule step_rule = StepRule::kNatural;
  double step = 0.01;            // of `natural`, in units of the Gaussian terms' own variance 1 / P_t
  std::vector<double> by_level;  // factors of s_t^2 for t = 0, 1, ...; the last one goes on; empty: 1
  Integrator integrator = Integrator::kExact;
  ChainStart start = ChainStart::kKernel;                 // below t = T-1, where u_T ~ N(0, I) has that law already
  double noise = 1.0;                                     // factor of the noise's standard deviation
  nets::Precision precision = nets::Precision::kFloat32;  // of nets and decoder path: compute.chain_precision
  std::function<void()> between_steps{};  // called in chains that draw, and may end them by an error; no option
  double eta_marginal = 0.02;  // s^2 of the marginal EBMs (joint, nce), whatever step_rule: their one level has P = 1
  void describe(Options& options);  // langevin.*
  // K of the chain of level t: whatever options set it, it is resolved into these fields.
  std::int64_t steps_at(std::int64_t t) const { return t == 0 && zero_steps > 0 ? zero_steps : steps; }
};

enum class NetKind { kSmall, kDense, kCifar10, kCelebaHq256 };
constexpr std::array<Choice<NetKind>, 4> choices_of(NetKind) {
  return {{{"small", NetKind::kSmall}, {"dense", NetKind::kDense}, {"cifar10", NetKind::kCifar10},
      {"celebahq256", NetKind::kCelebaHq256}}};
}

struct EnergyOptions {
  NetKind net = NetKind::kSmall;  // small (for the HVAE), dense (for an NVAE's), or one of the paper's
  std::int64_t width = 64;        // W; the paper's ch: 128 (CIFAR-10), 64 (CelebA-HQ-256)
  std::int64_t embedding = 64;    // of t, small net; the paper's nets have 128
  bool per_level = true;          // nets of its own for every t (false: one net a layer, told t, as in the paper)
  double gain = 1.0;              // of the output
  bool spectral_norm = true;
  std::int64_t power_iterations = 1;  // an optimiser step
  std::int64_t warm_iterations = 15;  // before the first
  bool power_iterations_in_chain = false;
  void describe(Options& options);
  std::int64_t embedding_size() const;
  bool ours() const { return net == NetKind::kSmall || net == NetKind::kDense; }  // not the paper's
};

// One net of a prior.
struct NetSetting {
  std::int64_t num_levels = 1;  // values of t that the net is told (1: none)
  std::uint32_t stream = 0;     // tells the nets' random starts apart
  std::uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
  // Of parameters and vectors: more is Error(kCorrupt).
  std::int64_t max_values = std::numeric_limits<std::int64_t>::max();
  std::int64_t label_rows = 0;  // numbers beside f for labels (label_heads.h)
};

}  // namespace hebm::prior
