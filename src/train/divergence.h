// Notices a diverging prior: NaN or Inf anywhere and a leap of the energy gap, far beyond its
// running median at that t, on the step; a gap that grows too slowly for that by its running
// median, once that is as far beyond the lowest that it has been. Restored with the checkpoint, so
// a resumed run decides the same.
#pragma once
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hebm::train {

class DivergenceMonitor {
 public:
  // factor: of the running median (over `window` updates) of |gap| at that t, and of it to the
  // lowest one of a full window; judged from update `from` on.
  DivergenceMonitor(std::int64_t num_levels, double factor = 50.0, std::int64_t from = 200, std::size_t window = 101);
  // gap[t]: mean over the batch of sum_i (f_i(pos) - f_i(neg)) / s_t^2; count[t]: images at t (0:
  // not judged). Returns "" or what is wrong ("t = 1: energy gap ... against a running median of
  // ...").
  std::string observe(std::int64_t update, const std::vector<double>& gap, const std::vector<double>& count);
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);
 private:
  double factor_;
  std::int64_t from_;
  std::size_t window_;
  std::vector<std::deque<double>> history_;
  std::vector<double> lowest_;  // running median of a full window at each t; 0: none yet
};

}  // namespace hebm::train
