#include "comm/launch_environment.h"
#include <array>
#include "base/error.h"
#include "base/options_text.h"

namespace hebm::comm {
namespace {

// In order of trust: of the process's own launcher before what a batch script hands down.
constexpr std::array kSizeVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};

constexpr const char* kAdvice =
    "start the ranks with `srun --mpi=pmix hebm_dist ...` or with the mpirun of the Open MPI that this program is "
    "built with (launch/mpirun); for one process on purpose: --comm.kind single";

}  // namespace

LaunchEnvironment LaunchEnvironment::read(const std::function<const char*(const char*)>& getenv) {
  LaunchEnvironment launch;
  for (const char* name : kSizeVariables) {
    const char* text = getenv(name);
    if (text == nullptr || *text == '\0') continue;
    const auto size = detail::parse_number<std::int64_t>(text);
    check(size && *size >= 1, ExitCode::kEnvironment,
        "{}='{}' is not a number of ranks: unset it, or start with mpirun or `srun --mpi=pmix`", name, text);
    launch.expected_size = *size;
    launch.source = fmt::format("{}={}", name, text);
    break;
  }
  const auto is_set = [&](const char* name) { return getenv(name) != nullptr; };
  launch.can_connect = is_set("PMIX_RANK") || is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMI_SIZE") || is_set("PMI_FD");
  launch.launched = launch.expected_size > 1 || (is_set("PMIX_RANK") && launch.expected_size != 1);
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
