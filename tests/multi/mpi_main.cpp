// Main of the tests that run as several ranks: one MPI world for all of them, the number of ranks
// checked against HEBM_TEST_RANKS, failures of every rank shown and returned by all.
#include <gtest/gtest.h>
#include <cstdio>
#include <cstdlib>
#include "multi/world.h"

namespace hebm::comm {
namespace {

std::unique_ptr<Communicator> the_world;

// Ranks but 0 only show what failed.
class FailuresOnly final : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d, %s:%d: %s\n", world().rank(), result.file_name() ? result.file_name() : "?",
        result.line_number(), result.message());
  }
};

int run_all() {
  const char* expected = std::getenv("HEBM_TEST_RANKS");
  if (expected == nullptr || world().size() != std::atoi(expected)) {
    std::fprintf(stderr, "this test needs HEBM_TEST_RANKS=%s ranks and has %d\n", expected ? expected : "(not set)",
        world().size());
    world().abort(1);
  }
  if (!world().is_root()) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  return any(world(), RUN_ALL_TESTS() != 0) ? 1 : 0;
}

}  // namespace

Communicator& world() { return *the_world; }

}  // namespace hebm::comm

// SKIP_RETURN_CODE of ctest.
constexpr int kSkipped = 77;

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  hebm::comm::CommOptions options;
  const auto kind = hebm::value_named<hebm::comm::Kind>(argc > 1 ? argv[1] : "mpi");
  if (!kind) return 2;
  options.kind = *kind;
  options.hang_timeout_s = 30;
  hebm::comm::the_world = hebm::comm::make_world(options);
  if (hebm::comm::the_world == nullptr) {
    std::fprintf(stderr, "skipped: comm.kind = %s needs a build with CUDA and a GPU\n", argv[1]);
    return kSkipped;
  }
  const int result = hebm::comm::run_all();
  hebm::comm::the_world.reset();
  return result;
}
