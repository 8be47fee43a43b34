#include "train/level_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nets/device.h"

namespace hebm::train {
namespace {

double at(const LevelSums& sums, std::int64_t field, std::int64_t t) { return sums.sums()[field][t].item<double>(); }

TEST(LevelSums, AddEachRowAtItsLevel) {
  LevelSums sums(2, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{2, 0, 2, 0}, at::kCPU));
  sums.add(0, nets::on_device(std::vector<float>{1, 10, 100, 1000}, at::kCPU));
  sums.add(1, nets::on_device(std::vector<double>{0.5, 0, 0, 0.25}, at::kCPU));
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{1}, at::kCPU));
  sums.add(0, nets::on_device(std::vector<float>{7}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1010);
  EXPECT_EQ(at(sums, 0, 1), 7);
  EXPECT_EQ(at(sums, 0, 2), 101);
  EXPECT_EQ(at(sums, 1, 0), 0.25);
  EXPECT_EQ(at(sums, 1, 1), 0);
  EXPECT_EQ(at(sums, 1, 2), 0.5);
  sums.zero();
  EXPECT_EQ(sums.sums().abs().sum().item<double>(), 0);
}

TEST(LevelSums, WhatIsNotFiniteStaysAtItsLevel) {
  LevelSums sums(1, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{0, 1, 2}, at::kCPU));
  sums.add(0, nets::on_device(std::vector<float>{1, std::nanf(""), std::numeric_limits<float>::infinity()}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1);
  EXPECT_TRUE(std::isnan(at(sums, 0, 1)));
  EXPECT_TRUE(std::isinf(at(sums, 0, 2)));
}

}  // namespace
}  // namespace hebm::train
