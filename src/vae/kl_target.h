// Holds the KL of each latent layer at a target: the weights beta_i of the KL terms follow the
// layers' KL, so that no layer stays empty and none takes all.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace hebm::vae {

class KlTargets {
 public:
  // targets: nats by layer, top first, above 0. ramp: fraction of the updates after which the
  // bottom's target is whole. Layers above have theirs earlier: layer i of L grows linearly from
  // ramp / 6 i / (L - 1) to max(ramp / 15, ramp i / (L - 1)).
  KlTargets(std::vector<double> targets, double ramp);
  // beta_i of the next update.
  const std::vector<double>& weights() const { return beta_; }
  // Of update number `update` of `total`, both from 0: kl [L], mean nats an image of the batch.
  void observe(const std::vector<double>& kl, std::int64_t update, std::int64_t total);
  // target_i of that update; at least half a nat, or the whole target where it is less.
  double target(std::size_t layer, std::int64_t update, std::int64_t total) const;
  // What a checkpoint keeps. restore: of an empty object, the start. Error(kCorrupt).
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);
 private:
  std::vector<double> targets_;
  double ramp_;
  std::vector<double> beta_, average_;  // average_: of the KL; empty before the first
};

}  // namespace hebm::vae
