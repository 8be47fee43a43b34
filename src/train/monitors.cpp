#include "train/monitors.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "base/status.h"

namespace hebm::train {
namespace {

constexpr double kStragglerFactor = 1.5;
constexpr std::int64_t kStragglerUpdates = 20;

// What stands at this place of the sorted values.
double ranked(std::vector<double> values, std::int64_t place) {
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}
double median(const std::deque<double>& values) {
  return ranked({values.begin(), values.end()}, std::ssize(values) / 2);
}

}  // namespace

Recorder::Recorder(std::size_t num_fields, std::int64_t num_levels, at::Device device)
    : num_levels_(static_cast<std::size_t>(num_levels)),
      sums_(at::zeros(
          {static_cast<std::int64_t>(num_fields), num_levels}, at::TensorOptions(at::kDouble).device(device))),
      levels_(at::arange(num_levels, at::TensorOptions(at::kLong).device(device)).unsqueeze(1)) {}

void Recorder::add_rows(std::size_t field, const at::Tensor& values) {
  sums_[static_cast<std::int64_t>(field)].add_(at::where(at_level_, values.detach().to(at::kDouble), 0.0).sum(1));
}

void Recorder::add(std::size_t field, const at::Tensor& value) {
  sums_[static_cast<std::int64_t>(field)][0].add_(value.detach().to(at::kDouble));
}

void Recorder::add(std::size_t field, double value) { sums_[static_cast<std::int64_t>(field)][0].add_(value); }

void Recorder::reduce(comm::Communicator& comm, std::vector<double>& more) {
  const at::Tensor here = sums_.flatten().to(at::kCPU);
  const auto count = static_cast<std::size_t>(here.numel());
  host_.assign(here.const_data_ptr<double>(), here.const_data_ptr<double>() + count);
  host_.insert(host_.end(), more.begin(), more.end());
  comm.all_reduce(std::span<double>(host_), comm::Op::kSum);
  more.assign(host_.begin() + static_cast<std::ptrdiff_t>(count), host_.end());
  host_.resize(count);
}

DivergenceMonitor::DivergenceMonitor(std::int64_t num_levels, double factor, std::int64_t from, std::size_t window)
    : factor_(factor),
      from_(from),
      window_(window),
      history_(static_cast<std::size_t>(num_levels)),
      lowest_(history_.size()) {}

std::string DivergenceMonitor::observe(
    std::int64_t update, const std::vector<double>& gap, const std::vector<double>& count) {
  std::string wrong;
  for (std::size_t t = 0; t < history_.size(); ++t) {
    if (count[t] == 0.0) continue;
    auto& past = history_[t];
    if (!std::isfinite(gap[t])) return fmt::format("t = {}: the energy gap is {}", t, gap[t]);
    if (update >= from_ && past.size() >= 20) {
      const double usual = median(past);
      if (usual > 0.0 && std::fabs(gap[t]) > factor_ * usual) {
        wrong = fmt::format("t = {}: energy gap {:.4g} against a running median of {:.4g}", t, gap[t], usual);
      }
    }
    past.push_back(std::fabs(gap[t]));
    if (past.size() > window_) past.pop_front();
    if (past.size() < window_) continue;
    const double usual = median(past);
    double& lowest = lowest_[t];
    if (wrong.empty() && update >= from_ && lowest > 0.0 && usual > factor_ * lowest) {
      wrong = fmt::format(
          "t = {}: the median of the last {} energy gaps is {:.4g}, it was {:.4g}", t, window_, usual, lowest);
    }
    if (lowest == 0.0 || usual < lowest) lowest = usual;
  }
  return wrong;
}

nlohmann::json DivergenceMonitor::state() const { return {{"past", history_}, {"lowest", lowest_}}; }

void DivergenceMonitor::restore(const nlohmann::json& state) {
  // Checkpoints of earlier versions hold the past alone.
  const nlohmann::json from = state.is_object() ? state : nlohmann::json{{"past", state}};
  const auto past = from.value("past", nlohmann::json()), lowest = from.value("lowest", nlohmann::json());
  for (std::size_t t = 0; t < history_.size(); ++t) {
    history_[t] = t < past.size() ? past[t].get<std::deque<double>>() : std::deque<double>();
    lowest_[t] = t < lowest.size() ? lowest[t].get<double>() : 0.0;
  }
}

StragglerMonitor::StragglerMonitor(std::vector<std::string> hosts)
    : hosts_(std::move(hosts)), streaks_(hosts_.size()) {}

std::vector<std::string> StragglerMonitor::observe(const std::vector<double>& batch_s) {
  check(batch_s.size() == hosts_.size(), ExitCode::kRuntime, "straggler monitor: times of {} ranks, expected {}",
      batch_s.size(), hosts_.size());
  // Of two ranks the faster: the slower one must be able to be slower than the median.
  median_s_ = ranked(batch_s, (std::ssize(batch_s) - 1) / 2);
  slowest_s_ = *std::max_element(batch_s.begin(), batch_s.end());
  std::vector<std::string> lines;
  for (std::size_t rank = 0; rank < batch_s.size(); ++rank) {
    if (auto line = observe(rank, batch_s[rank])) lines.push_back(std::move(*line));
  }
  return lines;
}

std::optional<std::string> StragglerMonitor::observe(std::size_t rank, double seconds) {
  Streak& streak = streaks_[rank];
  const bool slow = seconds > kStragglerFactor * median_s_;
  if (slow == streak.is_straggler) {  // as before
    streak = {.is_straggler = slow};
    return std::nullopt;
  }
  ++streak.updates;
  streak.sum_s += seconds;
  streak.sum_of_medians_s += median_s_;
  if (streak.updates < kStragglerUpdates) return std::nullopt;
  const double ratio = streak.sum_s / streak.sum_of_medians_s;
  streak = {.is_straggler = slow};
  if (!slow) return fmt::format("rank {} on {} keeps up again ({:.1f} times the median)", rank, hosts_[rank], ratio);
  return fmt::format(
      "WARNING: rank {} on {} is slow: {:.1f} times the median of the ranks over {} updates ({} a micro-batch). All "
      "ranks wait for it: look for other work, a throttled processor or a slow disk there, or leave the host out.",
      rank, hosts_[rank], ratio, kStragglerUpdates, format_duration(seconds));
}

}  // namespace hebm::train
