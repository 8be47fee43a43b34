#include "comm/launch_environment.h"
#include <array>
#include <charconv>
#include <cstring>
#include "base/error.h"

namespace hebm::comm {
namespace {

// In order of trust: a variable of the process's own launcher before one that a batch script hands
// down.
constexpr std::array kSizeVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};

std::int64_t parse_size(const char* name, const char* text) {
  std::int64_t size = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, size);
  check(error == std::errc() && stop == end && size >= 1, ExitCode::kEnvironment,
      "{}='{}' is not a number of ranks: unset it, or start with mpirun or `srun --mpi=pmix`", name, text);
  return size;
}

constexpr const char* kAdvice =
    "start the ranks with `srun --mpi=pmix hebm_dist ...` or with the mpirun of the Open MPI that this program is "
    "built "
    "with (launch/mpirun); for one process on purpose: --comm.kind single";

}  // namespace

LaunchEnvironment LaunchEnvironment::read(const std::function<const char*(const char*)>& getenv) {
  LaunchEnvironment launch;
  for (const char* name : kSizeVariables) {
    const char* text = getenv(name);
    if (text == nullptr || *text == '\0') continue;
    launch.expected_size = parse_size(name, text);
    launch.source = fmt::format("{}={}", name, text);
    break;
  }
  launch.can_connect = getenv("PMIX_RANK") != nullptr || getenv("OMPI_COMM_WORLD_SIZE") != nullptr ||
                       getenv("PMI_SIZE") != nullptr || getenv("PMI_FD") != nullptr;
  launch.launched = launch.expected_size > 1 || (getenv("PMIX_RANK") != nullptr && launch.expected_size != 1);
  return launch;
}

void check_world(const LaunchEnvironment& launch, int world_size) {
  check(launch.expected_size == 0 || launch.expected_size == world_size, ExitCode::kEnvironment,
      "the launcher started {} ranks ({}) but MPI sees {}: each process would work alone on the same files; {}",
      launch.expected_size, launch.source, world_size, kAdvice);
}

void check_can_connect(const LaunchEnvironment& launch) {
  check(launch.can_connect || launch.expected_size <= 1, ExitCode::kEnvironment,
      "the launcher started {} ranks ({}) without PMIx, so MPI cannot connect them; {}", launch.expected_size,
      launch.source, kAdvice);
}

}  // namespace hebm::comm
