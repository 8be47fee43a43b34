// Inside of lease.cpp: who holds a lease, as lease.json says.
#pragma once
#include <cstdint>
#include <string>
#include "base/process.h"

namespace hebm::storage::detail {

inline constexpr std::uint64_t kMaxLease = 64 << 10;

struct LeaseHolder : ProcessId {
  std::string token;         // random: this holding of the lease
  std::string job, command;  // of the scheduler, "" without one
  std::int64_t time_s = 0;   // when it was taken, by the holder's clock: for people alone

  std::string describe() const;  // "hebm_dist train, process 12 on node7, job 345, since 2026-11-28 10:20 UTC"
};

LeaseHolder this_process(const std::string& command);
// beat: counts the renewals. Texts of one holder have one length, so that a renewal overwrites the
// file in place.
std::string format_holder(const LeaseHolder& holder, std::int64_t beat = 0);
// A damaged text gives a holder without token, of whom nothing is known.
LeaseHolder parse_holder(const std::string& text);

}  // namespace hebm::storage::detail
