// What is recorded of an update, and what watches over a training: divergence of a prior, and ranks
// that hold up all others.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "comm/communicator.h"

namespace hebm::train {

// Sums over the images of an update, by field and diffusion step t (what has no t stands at 0):
// gathered where the images are and read once, so that statistics never make a GPU wait.
class Recorder {
 public:
  Recorder(std::size_t num_fields, std::int64_t num_levels, at::Device device);
  void zero() { sums_.zero_(); }
  // The levels of the rows that add_rows() gets from here on; t [B] int64, on the device.
  void set_rows(const at::Tensor& t) { at_level_ = levels_.eq(t); }
  // sums[field][t[b]] += values[b]; values [B]. What is not finite stays at its level; the order of
  // additions is fixed.
  void add_rows(std::size_t field, const at::Tensor& values);
  // sums[field][0] += value; one number.
  void add(std::size_t field, const at::Tensor& value);
  void add(std::size_t field, double value);
  // Sums over ranks what was recorded, for at(), and `more` in place. One exchange, of an update.
  void reduce(comm::Communicator& comm, std::vector<double>& more);
  double at(std::size_t field, std::size_t t = 0) const { return host_.at(field * num_levels_ + t); }
 private:
  std::size_t num_levels_;
  at::Tensor sums_;           // [fields, T] float64
  at::Tensor levels_;         // [T, 1] 0, 1, ...
  at::Tensor at_level_;       // [T, B] bool
  std::vector<double> host_;  // of all ranks
};

// Notices NaN or Inf and a leap of the energy gap far beyond its running median at that t, on the
// update; and a gap that grows too slowly for that by its running median, once that is as far above
// its lowest. Restored with the checkpoint, so a resumed run decides the same.
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

// Notices ranks that hold up all others: their time exceeded 1.5 times the ranks' median for 20
// updates in a row. Told once when it begins and once when it ends.
class StragglerMonitor {
 public:
  explicit StragglerMonitor(std::vector<std::string> hosts);
  // batch_s[r]: seconds that rank r spent on one of its micro-batches in this update, its data
  // included, the wait for other ranks not. Returns lines for the log, without their line ends.
  std::vector<std::string> observe(const std::vector<double>& batch_s);
  // Of the last update: the median and the slowest, in seconds.
  double median_s() const { return median_s_; }
  double slowest_s() const { return slowest_s_; }
 private:
  struct Streak {
    std::int64_t updates = 0;  // in a row, slow ones; of a straggler: those that were not
    double sum_s = 0, sum_of_medians_s = 0;
    bool is_straggler = false;
  };
  std::optional<std::string> observe(std::size_t rank, double seconds);

  std::vector<std::string> hosts_;
  std::vector<Streak> streaks_;
  double median_s_ = 0, slowest_s_ = 0;
};

}  // namespace hebm::train
