// Inside of lease.cpp: who holds a lease, as lease.json says, and whether that process lives.
#pragma once
#include <cstdint>
#include <string>

namespace hebm::storage::detail {

inline constexpr std::uint64_t kMaxLease = 64 << 10;

struct LeaseHolder {
  std::string token;                      // random: this holding of the lease
  std::string host, boot;                 // name; random id of the machine's start, the same in its containers
  std::string pid_namespace;              // process numbers mean something within it only
  std::int64_t pid = 0, start_ticks = 0;  // the number alone may have been given to another process
  std::string job, command;               // of the scheduler, "" without one
  std::int64_t time_s = 0;                // when it was taken, by the holder's clock

  std::string describe() const;  // "hebm_dist train, process 12 on node7, job 345, since 3 min 20 s"
};

LeaseHolder this_process(const std::string& command);
std::string format_holder(const LeaseHolder& holder);
// A damaged text gives a holder without token, of whom nothing is known.
LeaseHolder parse_holder(const std::string& text);

enum class Life { kAlive, kDead, kUnknown };  // kUnknown: on another machine or in another container
Life life_of(const LeaseHolder& holder, const LeaseHolder& observer);

}  // namespace hebm::storage::detail
