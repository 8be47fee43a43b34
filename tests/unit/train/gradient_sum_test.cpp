// Sums over micro-batches: float in place, and int64 that does not depend on the order.
#include "train/gradient_sum.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <cmath>
#include <stdexcept>
#include "base/error.h"
#include "train/training_loop.h"

namespace hebm::train {
namespace {

// Two buckets of 1 and 3 parameters.
struct Buckets {
  nets::Parameters a{1, 1}, b{1, 2};
  Buckets() {
    a.add("w", {1}, nets::Init::kNormal);
    b.add("w", {3}, nets::Init::kNormal);
    a.flatten();
    b.flatten();
  }
  std::vector<Bucket> all() { return {{"a.", a}, {"b.", b}}; }
};

std::unique_ptr<comm::Communicator> alone() {
  comm::CommOptions options;
  options.kind = comm::Kind::kSingle;
  return comm::make_communicator(options);
}

// 1e8 + 1 - 1e8 is 0 or 1 in float, by order; exactly 1 in int64 with one scale.
const std::vector<double> kTerms = {1e8, 1.0, -1e8};

double deterministic_sum(const std::vector<std::size_t>& order) {
  const auto comm = alone();
  Buckets buckets;
  GradientSum sum(*comm, buckets.all(), true, 3);
  sum.begin({3, 0});
  for (const auto i : order) {
    buckets.a.grad().add_(kTerms[i]);
    sum.backward_done(0);
  }
  sum.finish();
  EXPECT_EQ(buckets.b.grad().abs().sum().item<double>(), 0.0);
  return buckets.a.grad()[0].item<double>();
}

TEST(GradientSum, OfInt64DoesNotDependOnTheOrder) {
  EXPECT_EQ(deterministic_sum({0, 1, 2}), 1.0);
  EXPECT_EQ(deterministic_sum({0, 2, 1}), 1.0);
  EXPECT_EQ(deterministic_sum({1, 0, 2}), 1.0);
}

TEST(GradientSum, OfFloatsAccumulatesInPlace) {
  const auto comm = alone();
  Buckets buckets;
  GradientSum sum(*comm, buckets.all(), false, 2);
  sum.begin({1, 2});
  buckets.b.grad().add_(1.5);
  sum.backward_done(1);
  buckets.a.grad().add_(0.25);
  sum.backward_done(0);
  buckets.b.grad().add_(2.0);
  sum.backward_done(1);
  sum.finish();
  EXPECT_EQ(buckets.a.grad()[0].item<double>(), 0.25);
  EXPECT_EQ(buckets.b.grad()[2].item<double>(), 3.5);
  sum.begin({0, 0});
  EXPECT_EQ(buckets.b.grad()[2].item<double>(), 0.0) << "begin() starts from nothing";
  sum.finish();
}

TEST(GradientSum, SaysWhenABackwardIsMissing) {
  const auto comm = alone();
  Buckets buckets;
  GradientSum sum(*comm, buckets.all(), false, 2);
  sum.begin({1, 1});
  sum.backward_done(0);
  EXPECT_THROW(sum.finish(), Error);
  EXPECT_THROW(sum.begin({1}), Error);
}

TEST(GradientSum, PassesOnWhatIsNotFinite) {
  for (const bool deterministic : {true, false}) {
    const auto comm = alone();
    Buckets buckets;
    GradientSum sum(*comm, buckets.all(), deterministic, 1);
    sum.begin({1, 1});
    buckets.a.grad().add_(std::nan(""));
    sum.backward_done(0);
    sum.backward_done(1);
    sum.finish();
    EXPECT_TRUE(std::isnan(buckets.a.grad()[0].item<double>()));
  }
}

// A world of one rank that writes down the size of every sum when it starts, and adds nothing.
class Witness final : public comm::Communicator {
 public:
  std::vector<std::int64_t> started;
  int rank() const override { return 0; }
  int size() const override { return 1; }
  comm::Kind kind() const override { return comm::Kind::kMpi; }
  int node() const override { return 0; }
  void all_reduce(comm::Values, comm::Op) override {}
  std::unique_ptr<comm::Pending> start_sum(comm::Values values, std::string_view) override {
    started.push_back(values.count);
    return alone()->start_sum(values, "");
  }
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> all_gather(std::string_view mine) override { return {std::string(mine)}; }
  void barrier() override {}
  [[noreturn]] void abort(int) override { throw std::logic_error("not here"); }
};

TEST(GradientSum, JoinsSmallBucketsAndStartsALargeOneWhileOthersCompute) {
  Witness world;
  std::vector<std::unique_ptr<nets::Parameters>> nets;
  std::vector<Bucket> buckets;
  for (const std::int64_t size : {5, 100, 3, 4, 2}) {  // of at most 10 values together
    nets.push_back(std::make_unique<nets::Parameters>(1, 1));
    nets.back()->add("w", {size}, nets::Init::kNormal);
    nets.back()->flatten();
    buckets.push_back({"", *nets.back()});
  }
  GradientSum sum(world, buckets, false, 1, 40);
  EXPECT_EQ(sum.collectives_per_update(), 3);
  sum.begin({1, 1, 1, 1, 1});
  const auto learn = [&](std::size_t b) {
    buckets[b].params.grad().add_(static_cast<double>(b + 1));
    sum.backward_done(b);
    return world.started;
  };
  EXPECT_EQ(learn(1), (std::vector<std::int64_t>{})) << "the first bucket goes first on every rank";
  EXPECT_EQ(learn(0), (std::vector<std::int64_t>{5, 100}));
  EXPECT_EQ(learn(2), (std::vector<std::int64_t>{5, 100}));
  EXPECT_EQ(learn(4), (std::vector<std::int64_t>{5, 100}));
  EXPECT_EQ(learn(3), (std::vector<std::int64_t>{5, 100, 9}));
  sum.finish();
  for (std::size_t b = 0; b < buckets.size(); ++b)
    EXPECT_TRUE((buckets[b].params.grad() == static_cast<double>(b + 1)).all().item<bool>()) << b;
}

TEST(MicroBatches, DealWholeUnitsToRanks) {
  std::int64_t next = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const MicroBatches units(128, 16, rank, 3, "test");
    EXPECT_EQ(units.count, 8);
    EXPECT_EQ(units.first, next);
    next = units.last;
  }
  EXPECT_EQ(next, 8);
  EXPECT_THROW(MicroBatches(100, 16, 0, 1, "test"), Error);
  EXPECT_THROW(MicroBatches(128, 64, 0, 3, "test"), Error);
  EXPECT_THROW(MicroBatches(128, 0, 0, 1, "test"), Error);
}

}  // namespace
}  // namespace hebm::train
