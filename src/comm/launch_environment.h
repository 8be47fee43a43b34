// What the launcher says about this process, read from environment variables before MPI is touched.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace hebm::comm {

struct LaunchEnvironment {
  bool launched = false;           // some launcher started this process as a rank
  std::int64_t expected_size = 0;  // ranks that it says it started; 0: it does not say
  std::string source;              // the variable that says so, "SLURM_NTASKS=4"
  bool can_connect = false;        // it also offers what Open MPI needs to find the other ranks (PMIx or its own)

  // getenv is a parameter for tests. Error(kEnvironment) where a size is no positive number.
  static LaunchEnvironment read(const std::function<const char*(const char*)>& getenv);
};

// Throws Error(kEnvironment) unless MPI's world is the one that the launcher announced.
void check_world(const LaunchEnvironment& launch, int world_size);
// The same, before MPI_Init where that would fail or make a world of 1 anyway.
void check_can_connect(const LaunchEnvironment& launch);

}  // namespace hebm::comm
