// Improved precision and recall (Kynkaanniemi et al. 2019, Eq. 1-2): a set's manifold is the union
// of balls around its points, each with the distance to the point's k-th nearest neighbour in the
// set as radius. Precision: the share of generated points inside the real manifold; recall: the
// share of real points inside the generated one. Exact (all pairs, in chunks, float64), O(n m F).
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>

namespace hebm::evaluate {

struct PrecisionRecall {
  double precision = 0, recall = 0;
};

// Distance of points [first, first + count) of features [n, F] to their k-th nearest other point:
// float64 [count]. 1 <= k < n.
at::Tensor neighbour_radii(const at::Tensor& features, std::int64_t k, std::int64_t first, std::int64_t count);

// How many of points [n, F] lie in at least one closed ball of centres [m, F], radii float64 [m].
std::int64_t count_inside(const at::Tensor& points, const at::Tensor& centres, const at::Tensor& radii);

// real [n, F], generated [m, F]; n, m > k. Ranks may share the work by calling the two functions
// above on their rows.
PrecisionRecall precision_recall(const at::Tensor& real, const at::Tensor& generated, std::int64_t k = 3);

}  // namespace hebm::evaluate
