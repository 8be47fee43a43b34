// Importance resampling against the softmax that it draws from.
#include "prior/resampling.h"
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <array>
#include <cmath>
#include <limits>
#include "../nets/support.h"
#include "base/error.h"

namespace hebm::prior {
namespace {

TEST(Proposals, AreChosenByTheirSoftmax) {
  const std::vector<double> logits = {0.0, std::log(3.0), -700.0, std::log(4.0)};
  constexpr std::size_t kCount = 800;
  std::vector<double> uniform;
  for (std::size_t b = 0; b < kCount; ++b) uniform.push_back((static_cast<double>(b) + 0.5) / kCount);
  const at::Tensor columns = test::numbers(logits).unsqueeze(1).expand({4, static_cast<std::int64_t>(kCount)}) +
                             1e4;  // a common factor changes nothing
  std::array<int, 4> times{};
  for (const auto m : choose_proposals(columns, uniform)) ++times.at(static_cast<std::size_t>(m));
  EXPECT_EQ(times, (std::array<int, 4>{100, 300, 0, 400}));
  EXPECT_EQ(choose_proposals(columns.narrow(1, 0, 1), {std::nextafter(1.0, 0.0)})[0], 3);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    test::expect_error(ExitCode::kRuntime, {"logit"}, [&] {
      choose_proposals(test::numbers({0.0, bad}).unsqueeze(1), {0.5});
    });
  }
  test::expect_error(ExitCode::kRuntime, {"2 random numbers"}, [&] {
    choose_proposals(columns.narrow(1, 0, 1), {0.1, 0.2});
  });
}

}  // namespace
}  // namespace hebm::prior
