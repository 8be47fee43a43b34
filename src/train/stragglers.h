// Notices ranks that hold up all others: each update waits for the slowest. Told once when it
// begins and once when it ends.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "comm/communicator.h"

namespace hebm::train {

class StragglerMonitor {
 public:
  // A rank is a straggler when its time exceeded `factor` times the ranks' median for `patience`
  // updates in a row.
  explicit StragglerMonitor(std::vector<std::string> hosts, double factor = 1.5, std::int64_t patience = 20);
  // The hosts of the world's ranks. Collective.
  static StragglerMonitor of(comm::Communicator& comm);

  // unit_s[r]: seconds that rank r spent on one of its units of work in this update, its data
  // included, the wait for other ranks not. Returns lines for the log, without their line ends.
  std::vector<std::string> observe(std::span<const double> unit_s);
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
  double factor_;
  std::int64_t patience_;
  std::vector<Streak> streaks_;
  double median_s_ = 0, slowest_s_ = 0;
};

}  // namespace hebm::train
