// Calls one function of a library without torch and one of a library with it, and asks libtorch for
// a tensor.
#include <ATen/ops/ones.h>
#include <fmt/core.h>
#include "data/batch_order.h"
#include "prior/schedule.h"

int main() {
  const hebm::data::BatchOrder order(10, 4, 1);
  const hebm::prior::Schedule schedule = hebm::prior::make_schedule(6);
  const auto members = order.members(0, 0, 4);
  fmt::print(
      "{} members, {} levels, {} ones\n", members.size(), schedule.num_levels, at::ones({3}).sum().item<float>());
  return members.size() == 4 && schedule.alpha.size() == 7 ? 0 : 1;
}
