#include "comm/launch_environment.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include "../support.h"

namespace hebm::comm {
namespace {

LaunchEnvironment read(const std::map<std::string, std::string>& variables) {
  return LaunchEnvironment::read([&](const char* name) -> const char* {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

TEST(LaunchEnvironment, NoneIsNotLaunched) {
  const auto launch = read({});
  EXPECT_FALSE(launch.launched);
  EXPECT_EQ(launch.expected_size, 0);
  check_can_connect(launch);
  check_world(launch, 1);
}

TEST(LaunchEnvironment, OneRankIsNotLaunched) {
  EXPECT_FALSE(read({{"OMPI_COMM_WORLD_SIZE", "1"}, {"PMIX_RANK", "0"}}).launched);
  EXPECT_FALSE(read({{"SLURM_NTASKS", "1"}}).launched);
}

TEST(LaunchEnvironment, MpirunSaysTheSize) {
  const auto launch = read({{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "2"}, {"SLURM_NTASKS", "9"}});
  EXPECT_TRUE(launch.launched);
  EXPECT_EQ(launch.expected_size, 4);
  check_can_connect(launch);
  check_world(launch, 4);
  test::expect_error(ExitCode::kEnvironment,
      {"4 ranks (OMPI_COMM_WORLD_SIZE=4)", "MPI sees 1", "srun --mpi=pmix", "--comm.kind single"},
      [&] { check_world(launch, 1); });
}

TEST(LaunchEnvironment, MpirunOfOneRankInsideALargerSlurmJobIsNotLaunched) {
  EXPECT_FALSE(read({{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_NTASKS", "9"}}).launched);
}

TEST(LaunchEnvironment, SrunWithPmix) {
  const auto launch = read({{"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "3"}, {"PMIX_RANK", "0"}});
  EXPECT_TRUE(launch.launched);
  EXPECT_EQ(launch.expected_size, 3) << "the step's size, not the job's";
  check_can_connect(launch);
  check_world(launch, 3);
}

TEST(LaunchEnvironment, SrunWithoutPmixIsRefusedBeforeMpiStarts) {
  const auto launch = read({{"SLURM_NTASKS", "3"}});
  EXPECT_TRUE(launch.launched);
  test::expect_error(
      ExitCode::kEnvironment, {"3 ranks (SLURM_NTASKS=3)", "srun --mpi=pmix"}, [&] { check_can_connect(launch); });
}

TEST(LaunchEnvironment, MpirunOfAnotherMpiMakesWorldsOfOne) {
  const auto launch = read({{"PMI_SIZE", "2"}});
  EXPECT_TRUE(launch.launched);
  check_can_connect(launch);
  test::expect_error(ExitCode::kEnvironment, {"PMI_SIZE=2"}, [&] { check_world(launch, 1); });
}

TEST(LaunchEnvironment, NonsenseIsNamed) {
  for (const char* text : {"0", "-3", "four", "4x", "99999999999999999999"}) {
    test::expect_error(ExitCode::kEnvironment, {std::string("SLURM_NTASKS='") + text}, [&] {
      read({{"SLURM_NTASKS", text}});
    });
  }
  EXPECT_EQ(read({{"SLURM_NTASKS", ""}}).expected_size, 0);
}

}  // namespace
}  // namespace hebm::comm
