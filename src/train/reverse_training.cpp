// train.chain = reverse: levels learn along the chain that draws (Alg. 2), not from the data's
// u_{t+1}. docs/method.md, "Reverse chains", says what is maximised.
#include "train/diffusion.h"

namespace hebm::train {

// From noise to u_0: K steps given the chain's own u_{t+1} make the negatives of level t, which are
// the u_{t+1} of the next one. Positives are the data's u_t. All levels learn.
void DiffusionObjective::learn_reverse(const prior::ChainIds& ids, const at::Tensor& u_0, GradientSum& gradients) {
  const prior::Schedule& schedule = in_.prior.schedule();
  const std::int64_t top = schedule.num_levels - 1;
  at::Tensor u_next = prior::Chains(ids, top, device_).normals(Purpose::kReverseNoise, u_0.size(1));  // u_T
  for (std::int64_t t = top; t >= 0; --t) {
    const prior::Chains chains(ids, t, device_);
    const at::Tensor negatives = draw_negatives(chains, u_next);
    if (t == 0 || !settings_.only_zero) {  // of `couple`, which may leave the nets of the other levels as they are
      const at::Tensor u_t = prior::make_pair(chains, u_0, schedule).u_t;
      Contrast rows = make_contrast(ids, chains, {u_t, u_next}, negatives);
      rows.last = t == 0 || in_.prior.per_level();  // a net that is told t learns at all of them
      backward_by_layer(rows, gradients);
    }
    u_next = negatives;
  }
}

// One level from N(0, I) has no u_{t+1} of the data: Algorithm 1 is the same there.
bool DiffusionObjective::on_reverse_chain(const Update& update) const {
  return !in_.prior.schedule().marginal && settings_.reverse_updates(update.number + 1) > 0;
}

Plan DiffusionObjective::plan_reverse(const Update& update) {
  // Gaps of other chains are no measure of these.
  if (update.number == settings_.reverse_from) monitor_.restore(nlohmann::json::array());
  const std::int64_t levels = settings_.only_zero ? 1 : in_.prior.num_levels();
  global_rows_ = settings_.batch * levels;
  Plan plan{std::vector<std::int64_t>(buckets_.size(), 0), std::vector<bool>(buckets_.size(), false)};
  for (std::int64_t t = 0; t < levels; ++t) {
    const std::size_t first = in_.prior.first_bucket({t});
    for (std::size_t bucket = first; bucket < first + in_.prior.num_layers(); ++bucket) {
      plan.active[bucket] = true;
      plan.local_passes[bucket] = batches_.local();
    }
  }
  active_ = plan.active;
  return plan;
}

double DiffusionObjective::cost(std::int64_t updates) const {
  return settings_.chains(updates, in_.prior.num_levels());
}

}  // namespace hebm::train
