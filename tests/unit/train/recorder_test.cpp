#include "train/recorder.h"
#include <gtest/gtest.h>
#include <cmath>
#include <limits>
#include "comm/single_communicator.h"
#include "nets/device.h"

namespace hebm::train {
namespace {

double at(Recorder& sums, std::size_t field, std::size_t t) {
  comm::SingleCommunicator comm;
  std::vector<double> more;
  sums.reduce(comm, more);
  return sums.at(field, t);
}

TEST(Recorder, AddEachRowAtItsLevel) {
  Recorder sums(2, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{2, 0, 2, 0}, at::kCPU));
  sums.add_rows(0, nets::on_device(std::vector<float>{1, 10, 100, 1000}, at::kCPU));
  sums.add_rows(1, nets::on_device(std::vector<double>{0.5, 0, 0, 0.25}, at::kCPU));
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{1}, at::kCPU));
  sums.add_rows(0, nets::on_device(std::vector<float>{7}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1010);
  EXPECT_EQ(at(sums, 0, 1), 7);
  EXPECT_EQ(at(sums, 0, 2), 101);
  EXPECT_EQ(at(sums, 1, 0), 0.25);
  EXPECT_EQ(at(sums, 1, 1), 0);
  EXPECT_EQ(at(sums, 1, 2), 0.5);
  sums.add(1, 0.125);  // at t = 0
  sums.add(1, nets::on_device(std::vector<float>{3}, at::kCPU).select(0, 0));
  EXPECT_EQ(at(sums, 1, 0), 3.375);
  sums.zero();
  for (std::size_t t = 0; t < 3; ++t) EXPECT_EQ(at(sums, 1, t), 0);
}

TEST(Recorder, WhatIsNotFiniteStaysAtItsLevel) {
  Recorder sums(1, 3, at::kCPU);
  sums.set_rows(nets::on_device(std::vector<std::int64_t>{0, 1, 2}, at::kCPU));
  sums.add_rows(
      0, nets::on_device(std::vector<float>{1, std::nanf(""), std::numeric_limits<float>::infinity()}, at::kCPU));
  EXPECT_EQ(at(sums, 0, 0), 1);
  EXPECT_TRUE(std::isnan(at(sums, 0, 1)));
  EXPECT_TRUE(std::isinf(at(sums, 0, 2)));
}

}  // namespace
}  // namespace hebm::train
