#include "train/divergence.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace hebm::train {
namespace {

double median(const std::deque<double>& values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
  return sorted[sorted.size() / 2];
}

}  // namespace

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

nlohmann::json DivergenceMonitor::state() const {
  nlohmann::json past = nlohmann::json::array();
  for (const auto& gaps : history_) past.push_back(std::vector<double>(gaps.begin(), gaps.end()));
  return {{"past", past}, {"lowest", lowest_}};
}

void DivergenceMonitor::restore(const nlohmann::json& state) {
  // Checkpoints of earlier versions hold the past alone.
  const auto past = state.is_object() ? state.value("past", nlohmann::json()) : state;
  const auto lowest = state.is_object() ? state.value("lowest", nlohmann::json()) : nlohmann::json();
  for (std::size_t t = 0; t < history_.size(); ++t) {
    history_[t].clear();
    if (past.is_array() && t < past.size()) {
      for (const auto& value : past[t]) history_[t].push_back(value.get<double>());
    }
    lowest_[t] = lowest.is_array() && t < lowest.size() ? lowest[t].get<double>() : 0.0;
  }
}

}  // namespace hebm::train
