#include "prior/label_draws.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include "base/error.h"
#include "base/visits.h"
#include "nets/device.h"
#include "prior/resampling.h"

namespace hebm::prior {
namespace {

// Above all visits of other chains, and apart from one another.
ChainIds ids_of_candidate(ChainIds ids, std::int64_t m) {
  for (auto& visit : ids.visit) {
    check(visit < visits::kMaxCandidateVisit && m < visits::kMaxCandidates, ExitCode::kRuntime,
        "candidates: visit {} and candidate {} are too many", visit, m);
    visit = visits::of_candidate(visit, m);
  }
  return ids;
}

}  // namespace

LabelCandidates draw_candidates(
    const ReverseChain& chain, std::int64_t candidates, const ChainIds& ids, const HeldLayers* held) {
  const LevelRange to_one{chain.num_levels() - 1, 1};
  if (candidates == 1) return {{chain.run(chain.noise(ids), to_one, ids, {.held = held})}, {}, {}};
  LabelCandidates out;
  for (std::int64_t m = 0; m < candidates; ++m) {
    const ChainIds own = ids_of_candidate(ids, m);
    out.u1.push_back(chain.run(chain.noise(own), to_one, own, {.held = held}));
    out.u0.push_back(chain.run(out.u1.back(), 0, own, {.held = held}));
    out.log_probability.push_back(chain.label_log_probability(out.u0.back()));
  }
  return out;
}

std::vector<std::int64_t> choose_candidates(
    const LabelCandidates& candidates, const LabelChoice& choice, const ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> weights;  // [M] of [B]
  for (const auto& heads : candidates.log_probability) {
    at::Tensor sum = at::zeros({choice.category.size(0)}, heads.at(0).options());
    for (std::size_t h = 0; h < heads.size(); ++h) {
      const at::Tensor asked =
          choice.category.select(1, static_cast<std::int64_t>(h)).unsqueeze(1);  // -1: any, no weight
      sum = sum + (heads[h].gather(1, asked.clamp_min(0)) * asked.ge(0)).squeeze(1);
    }
    weights.push_back(sum.to(at::kDouble) * choice.guidance);
  }
  return choose_proposals(at::stack(weights), choice_uniforms(ids, 0));
}

at::Tensor finish_for_labels(const ReverseChain& chain, const LabelCandidates& candidates, const LabelChoice& choice,
    const ChainIds& ids, const HeldLayers* held) {
  const ReverseExtras extras{.held = held, .labels = &choice};
  if (candidates.u1.size() == 1) return chain.run(candidates.u1[0], 0, ids, extras);
  const auto chosen = choose_candidates(candidates, choice, ids);
  const auto of_rows = [&](const std::vector<at::Tensor>& values) {  // row b of values[chosen[b]]
    const at::Tensor all = at::stack(values),
                     index = nets::on_device(chosen, all.device()).view({1, -1, 1}).expand({1, -1, all.size(2)});
    return all.gather(0, index).squeeze(0).contiguous();
  };
  return chain.run_at_zero(of_rows(candidates.u0), of_rows(candidates.u1), ids, extras);
}

at::Tensor sample_for_labels(const ReverseChain& chain, const LabelChoice& choice, std::int64_t candidates,
    const ChainIds& ids, const HeldLayers* held) {
  return finish_for_labels(chain, draw_candidates(chain, candidates, ids, held), choice, ids, held);
}

}  // namespace hebm::prior
