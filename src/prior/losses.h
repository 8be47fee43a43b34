// Eq. 12: the contrastive loss of one layer and the weight of each diffusion step in it.
#pragma once
#include <ATen/core/Tensor.h>
#include <array>
#include <vector>
#include "prior/langevin.h"
#include "prior/schedule.h"

namespace hebm::prior {

// Of a level t in the loss: paper 1/s_t^2 (the nets output f = s_t^2 F), sqrt 1/s_t^2 *
// s_t/s_{T-1}, flat 1/s_{T-1}^2.
enum class LevelWeight { kPaper, kSqrt, kFlat };
constexpr std::array<Choice<LevelWeight>, 3> choices_of(LevelWeight) {
  return {{{"paper", LevelWeight::kPaper}, {"sqrt", LevelWeight::kSqrt}, {"flat", LevelWeight::kFlat}}};
}
std::vector<double> level_weights(const Schedule& schedule, const LangevinOptions& langevin, LevelWeight kind);

// -sum_b w_b (f+_b - f-_b) / global_batch + l2 * sum_b w_b (f+_b^2 + f-_b^2) / global_batch: its
// gradient is minus Eq. 12. positive, negative, weight [B].
at::Tensor contrastive_loss(const at::Tensor& positive, const at::Tensor& negative, const at::Tensor& weight, double l2,
    std::int64_t global_batch);

}  // namespace hebm::prior
