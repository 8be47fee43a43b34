#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "comm/launch_environment.h"

namespace hebm::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

LaunchEnvironment read(const std::map<std::string, std::string>& variables) {
  return LaunchEnvironment::read([&](const char* name) -> const char* {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

template <class F>
std::string message_of(F&& f, ExitCode code) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "nothing thrown";
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
  EXPECT_THAT(message_of([&] { check_world(launch, 1); }, ExitCode::kEnvironment),
              AllOf(HasSubstr("4 ranks (OMPI_COMM_WORLD_SIZE=4)"), HasSubstr("MPI sees 1"),
                    HasSubstr("srun --mpi=pmix"), HasSubstr("--comm.kind single")));
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
  EXPECT_THAT(message_of([&] { check_can_connect(launch); }, ExitCode::kEnvironment),
              AllOf(HasSubstr("3 ranks (SLURM_NTASKS=3)"), HasSubstr("srun --mpi=pmix")));
}

TEST(LaunchEnvironment, MpirunOfAnotherMpiMakesWorldsOfOne) {
  const auto launch = read({{"PMI_SIZE", "2"}});
  EXPECT_TRUE(launch.launched);
  check_can_connect(launch);
  EXPECT_THAT(message_of([&] { check_world(launch, 1); }, ExitCode::kEnvironment), HasSubstr("PMI_SIZE=2"));
}

TEST(LaunchEnvironment, NonsenseIsNamed) {
  for (const char* text : {"0", "-3", "four", "4x", "99999999999999999999"}) {
    EXPECT_THAT(message_of(
                    [&] {
                      read({{"SLURM_NTASKS", text}});
                    },
                    ExitCode::kEnvironment),
                HasSubstr(std::string("SLURM_NTASKS='") + text));
  }
  EXPECT_EQ(read({{"SLURM_NTASKS", ""}}).expected_size, 0);
}

}  // namespace
}  // namespace hebm::comm
