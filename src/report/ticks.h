// Places and labels of axis ticks at round numbers.
#pragma once
#include <string>
#include <vector>

namespace hebm::report {

struct Tick {
  double value = 0;
  std::string label;
};

// Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `target` of them (from
// target / 2 to 2 * target + 1); low < high, both finite.
std::vector<Tick> linear_ticks(double low, double high, int target);

// For a logarithmic axis, 0 < low < high: powers of ten (thinned when many), with 2 and 5 times
// them when few.
std::vector<Tick> log_ticks(double low, double high);

}  // namespace hebm::report
