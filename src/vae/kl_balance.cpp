#include "vae/kl_balance.h"
#include <algorithm>
#include "base/error.h"

namespace hebm::vae {
namespace {

constexpr double kKlOffset = 0.01;  // nats

}  // namespace

std::vector<double> kl_shares(const std::vector<LatentShape>& groups) {
  std::vector<double> out(groups.size());
  double power = 1.0, smallest = 0.0;
  for (std::size_t first = 0, last = 0; first < groups.size(); first = last) {
    while (last < groups.size() && groups[last].height == groups[first].height) ++last;
    const double share = power / static_cast<double>(last - first);
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(first), out.begin() + static_cast<std::ptrdiff_t>(last), share);
    smallest = first == 0 ? share : std::min(smallest, share);
    power *= 4.0;
  }
  for (double& share : out) share /= smallest;
  return out;
}

std::vector<double> kl_balance(std::span<const double> mean_abs_kl, std::span<const double> shares) {
  check(mean_abs_kl.size() == shares.size() && !shares.empty(), ExitCode::kRuntime, "KL balance: {} terms, {} layers",
      mean_abs_kl.size(), shares.size());
  std::vector<double> out;
  double sum = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    out.push_back((mean_abs_kl[i] + kKlOffset) / shares[i]);
    sum += out.back();
  }
  for (double& g : out) g *= static_cast<double>(shares.size()) / sum;
  return out;
}

double kl_annealed(double update, double total, double delay, double anneal, double minimum) {
  const double length = anneal * total;
  const double grown = length > 0.0 ? (update - delay * total) / length : 1.0;
  return std::max(minimum, std::min(1.0, grown));
}

}  // namespace hebm::vae
