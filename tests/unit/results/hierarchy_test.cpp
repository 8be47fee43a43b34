// The table of `hierarchy`, and its file read back.
#include "results/hierarchy.h"
#include <gtest/gtest.h>
#include <cmath>

namespace hebm::results {
namespace {

Hierarchy example() {
  Hierarchy out;
  out.layers = {{0, 16, 2, 20.25, 0.25, 1.01, 0.7, 0.75, 0.61, 0.5},
      {1, 8, 8, 60.75, 0.75, 0.99, kUnknown, kUnknown, kUnknown, kUnknown}};
  out.fd_gaussian = 400;
  out.fd_reconstruction = 20;
  out.reconstruction_of_gaussian = 0.05;
  return out;
}

TEST(HierarchyResult, TextIsATableAndTheScores) {
  EXPECT_EQ(text_of(example()),
      "layer    latents  KL, nats  share  variance  probe  class changed  distance  below drawn: changed\n"
      "    0     16x2x2     20.25  0.250      1.01  0.700          0.750     0.610                 0.500\n"
      "    1      8x8x8     60.75  0.750      0.99      -              -         -                     -\n"
      "fd_fmnist: reconstruction 20.00, Gaussian prior 400.00, ratio 0.0500\n");
}

TEST(HierarchyResult, IsReadBackAsWritten) {
  const auto json = to_json(example());
  EXPECT_FALSE(json["layers"][1].contains("below_drawn_class_changed"));
  EXPECT_TRUE(json["layers"][1]["probe_accuracy"].is_null());
  EXPECT_EQ(to_json(from_json<Hierarchy>(json)), json);
  EXPECT_TRUE(from_json<Hierarchy>({{"layers", 3}}).layers.empty());
}

}  // namespace
}  // namespace hebm::results
