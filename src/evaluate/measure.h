// How the scores of results/scores.h are measured: one function for each row of that table, in the
// file that holds its mathematics, which stands here too.
#pragma once
#include <cstdint>
#include "base/random.h"
#include "comm/communicator.h"
#include "evaluate/features.h"
#include "results/scores.h"

namespace hebm::evaluate {

struct ScoreInput {
  const FeatureRows& real;       // moments: of all training images, features: of as many as are scored
  const FeatureRows& posterior;  // of as many decoded posterior draws of training images
  const FeatureRows& images;     // that are scored
  std::int64_t neighbours;       // evaluate.neighbours
  std::uint64_t seed;
  comm::Communicator& comm;
  // local() on rank 0; what it throws, every rank throws. Collective.
  results::Score on_root(const auto& local) const {
    results::Score out;
    comm::on_root(comm, [&] { out = local(); });
    return out;
  }
};

// Collective; the number is rank 0's. Defined for every row of the table, or the program does not
// link.
template <std::size_t kScore> results::Score measure(const ScoreInput& input);

// Kernel inception distance (Binkowski et al. 2018, Sec. 4) on any features: the unbiased estimate
// of MMD^2 with the kernel k(x, y) = (x.y / F + 1)^3, as the mean over subsets. Unlike the Frechet
// distance it has no bias in the number of images; it may be slightly negative. Features are
// gathered for it (5,000 x 128 float32 are 2.5 MB).

struct KidOptions {
  std::int64_t subset_size = 1000;  // 2 .. the smaller set; a larger value is lowered to that
  std::int64_t num_subsets = 25;
  RandomKey key{0, 0, Purpose::kSubset};
};

// sum_{i != j} k(x_i, x_j) / (n (n-1)) + the same of y - 2 mean k(x_i, y_j); x [n, F], y [m, F], n,
// m >= 2. float64.
double mmd_squared(const at::Tensor& x, const at::Tensor& y);

// real [n, F], generated [m, F], float32 or float64. Subsets are consecutive blocks of keyed
// permutations of each set (disjoint until a set is used up, then from the next permutation): a
// pure function of key, sizes and the features' order. The error is the standard deviation of the
// subsets' values over sqrt(number of them that are disjoint in both sets); 0 for one.
results::Score kernel_distance(const at::Tensor& real, const at::Tensor& generated, const KidOptions& options = {});

// Improved precision and recall (Kynkaanniemi et al. 2019, Eq. 1-2): a set's manifold is the union
// of balls around its points, each with the distance to the point's k-th nearest neighbour in the
// set as radius. Precision: the share of generated points inside the real manifold; recall: the
// share of real points inside the generated one. Exact (all pairs, in chunks, float64), O(n m F).

// Distance of points [first, first + count) of features [n, F] to their k-th nearest other point:
// float64 [count]. 1 <= k < n.
at::Tensor neighbour_radii(const at::Tensor& features, std::int64_t k, std::int64_t first, std::int64_t count);

// How many of points [n, F] lie in at least one closed ball of centres [m, F], radii float64 [m].
std::int64_t count_inside(const at::Tensor& points, const at::Tensor& centres, const at::Tensor& radii);

}  // namespace hebm::evaluate
