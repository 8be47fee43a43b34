#include "train/stragglers.h"
#include <fmt/format.h>
#include <algorithm>
#include "base/error.h"
#include "base/host.h"
#include "base/status.h"

namespace hebm::train {
namespace {

// Of two ranks the faster: the slower one must be able to be slower than the median.
double lower_median(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + (std::ssize(sorted) - 1) / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

}  // namespace

StragglerMonitor::StragglerMonitor(std::vector<std::string> hosts, double factor, std::int64_t patience)
    : hosts_(std::move(hosts)), factor_(factor), patience_(patience), streaks_(hosts_.size()) {}

StragglerMonitor StragglerMonitor::of(comm::Communicator& comm) {
  return StragglerMonitor(comm.all_gather(host_name()));
}

std::vector<std::string> StragglerMonitor::observe(std::span<const double> unit_s) {
  check(unit_s.size() == hosts_.size(), ExitCode::kRuntime, "straggler monitor: times of {} ranks, expected {}",
      unit_s.size(), hosts_.size());
  median_s_ = lower_median(unit_s);
  slowest_s_ = *std::max_element(unit_s.begin(), unit_s.end());
  std::vector<std::string> lines;
  for (std::size_t rank = 0; rank < unit_s.size(); ++rank) {
    if (auto line = observe(rank, unit_s[rank])) lines.push_back(std::move(*line));
  }
  return lines;
}

std::optional<std::string> StragglerMonitor::observe(std::size_t rank, double seconds) {
  Streak& streak = streaks_[rank];
  const bool slow = seconds > factor_ * median_s_;
  if (slow == streak.is_straggler) {  // as before
    streak = {.is_straggler = slow};
    return std::nullopt;
  }
  ++streak.updates;
  streak.sum_s += seconds;
  streak.sum_of_medians_s += median_s_;
  if (streak.updates < patience_) return std::nullopt;
  const double ratio = streak.sum_s / streak.sum_of_medians_s;
  streak = {.is_straggler = slow};
  if (!slow) return fmt::format("rank {} on {} keeps up again ({:.1f} times the median)", rank, hosts_[rank], ratio);
  return fmt::format(
      "WARNING: rank {} on {} is slow: {:.1f} times the median of the ranks over {} updates ({} a unit of work). All "
      "ranks wait for "
      "it: look for other work, a throttled processor or a slow disk there, or leave the host out.",
      rank, hosts_[rank], ratio, patience_, format_duration(seconds));
}

}  // namespace hebm::train
