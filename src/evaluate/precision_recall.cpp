#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cdist.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include <span>
#include <tuple>
#include <vector>
#include "base/error.h"
#include "base/share.h"
#include "evaluate/measure.h"

namespace hebm::evaluate {
namespace {

constexpr std::int64_t kChunkElements = 1 << 23;  // distances at once: 64 MiB

std::int64_t chunk_rows(std::int64_t columns) { return std::max<std::int64_t>(1, kChunkElements / columns); }

// [n, F], [m, F] -> [n, m]. From differences, not from |x|^2 + |y|^2 - 2 x.y: a point's distance to
// its own copy is then exactly 0 and a pair has the same bits in either order and in any chunk, so
// ties at a ball's surface count as inside.
at::Tensor distances(const at::Tensor& x, const at::Tensor& y) {
  constexpr std::int64_t kNoMatrixProduct = 2;
  return at::cdist(x, y, 2.0, kNoMatrixProduct);
}

at::Tensor host_double(const at::Tensor& features) { return features.detach().cpu().to(at::kDouble).contiguous(); }

}  // namespace

at::Tensor neighbour_radii(const at::Tensor& features, std::int64_t k, std::int64_t first, std::int64_t count) {
  check_features(features, 2, "precision and recall");
  check(k >= 1 && k < features.size(0), ExitCode::kRuntime,
      "precision and recall: expected k from 1 to {} for {} points, got {}", features.size(0) - 1, features.size(0), k);
  check(first >= 0 && count >= 0 && first <= features.size(0) - count, ExitCode::kRuntime,
      "precision and recall: rows {} to {} of {} points", first, first + count, features.size(0));
  const at::Tensor x = host_double(features);
  std::vector<at::Tensor> radii;
  // The point itself is one of the zeros in its row: k + 1 with it is k without it.
  for (const at::Tensor& rows : x.narrow(0, first, count).split(chunk_rows(x.size(0))))
    radii.push_back(std::get<0>(distances(rows, x).kthvalue(k + 1, 1)));
  return at::cat(radii);
}

std::int64_t count_inside(const at::Tensor& points, const at::Tensor& centres, const at::Tensor& radii) {
  check_features(points, 0, "precision and recall, points");
  check_features(centres, 1, "precision and recall, centres");
  check(points.size(1) == centres.size(1) && radii.dim() == 1 && radii.size(0) == centres.size(0) &&
            radii.scalar_type() == at::kDouble,
      ExitCode::kRuntime, "precision and recall: {} and {} features, {} centres, radii of {} elements", points.size(1),
      centres.size(1), centres.size(0), radii.numel());
  const at::Tensor x = host_double(points), y = host_double(centres);
  std::int64_t inside = 0;
  for (const at::Tensor& rows : x.split(chunk_rows(y.size(0))))
    inside += distances(rows, y).le(radii).any(1).sum().item<std::int64_t>();
  return inside;
}

namespace {

// This rank's of n rows.
Share share_of_rows(const comm::Communicator& comm, std::int64_t n) { return share_of(n, comm.rank(), comm.size()); }

// Made once for each set, by all ranks.
const at::Tensor& radii_of(const FeatureRows& rows, const ScoreInput& in) {
  if (rows.radii.defined()) return rows.radii;
  const std::int64_t n = rows.features.size(0);
  rows.radii = at::zeros({n}, at::kDouble);
  comm::agree(in.comm, [&] {
    const Share mine = share_of_rows(in.comm, n);
    if (mine.size() == 0) return;
    rows.radii.narrow(0, mine.first, mine.size())
        .copy_(neighbour_radii(rows.features, in.neighbours, mine.first, mine.size()));
  });
  // Every entry comes from one rank: exact.
  in.comm.all_reduce(
      std::span<double>(rows.radii.mutable_data_ptr<double>(), static_cast<std::size_t>(n)), comm::Op::kSum);
  return rows.radii;
}

// Share of the points inside the manifold of the centres.
double share_inside(const FeatureRows& points, const FeatureRows& centres, const ScoreInput& in) {
  const at::Tensor& radii = radii_of(centres, in);
  const std::int64_t n = points.features.size(0);
  double inside = 0;
  comm::agree(in.comm, [&] {
    const Share mine = share_of_rows(in.comm, n);
    if (mine.size() == 0) return;
    inside =
        static_cast<double>(count_inside(points.features.narrow(0, mine.first, mine.size()), centres.features, radii));
  });
  in.comm.all_reduce(std::span<double>(&inside, 1), comm::Op::kSum);
  return inside / static_cast<double>(n);
}

}  // namespace

template <> results::Score measure<results::score("precision")>(const ScoreInput& in) {
  return {share_inside(in.images, in.real, in)};
}

template <> results::Score measure<results::score("recall")>(const ScoreInput& in) {
  return {share_inside(in.real, in.images, in)};
}

template <> results::Score measure<results::score("precision_posterior")>(const ScoreInput& in) {
  return {share_inside(in.images, in.posterior, in)};
}

template <> results::Score measure<results::score("recall_posterior")>(const ScoreInput& in) {
  return {share_inside(in.posterior, in.images, in)};
}

}  // namespace hebm::evaluate
