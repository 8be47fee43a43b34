// One writer a folder: FOLDER/lease.json names the process that writes there, and a thread renews
// its counter. A second job is refused. A lease is stale, and taken over, when its process is gone
// (same machine: at once) or when its counter has stood still for expiry_s by the clock of the job
// that looks (another machine, another container). No two clocks are compared.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include "storage/files.h"

namespace hebm::storage {

struct LeaseTimes {
  double renew_s = 5, expiry_s = 30;
};

// What a job does that has to look for a while whether the holder lives.
struct LeaseWait {
  std::function<void(const std::string&)> say;  // for whom it waits, and how long
  std::function<bool()> stop;                   // true: give up with Error(kRequeue)
};

class Lease {
 public:
  // Makes the folder. Held by another job: Error(kRuntime) naming its command, host, process and
  // job id, where the holder may be dead after at most expiry_s. on_lost runs on a thread of the
  // lease, with the reason, when somebody else has taken the lease (this process was stopped for
  // long): it must end the process, for now two jobs write here.
  Lease(const fs::path& folder, const std::string& command, std::function<void(const std::string&)> on_lost,
      LeaseTimes times = {}, const LeaseWait& wait = {});
  ~Lease();  // removes the file
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  static fs::path file_of(const fs::path& folder) { return folder / "lease.json"; }
  // Who holds the folder now, in words, for those who only look; nothing where nobody alive does.
  // Writes nothing. Looks for up to two renewals where the file's time leaves doubt.
  static std::optional<std::string> holder_of(const fs::path& folder, LeaseTimes times = {});
 private:
  fs::path path_;
  std::string token_;
  std::jthread renewer_;
};

// Removes temporaries_in(folder, prefix): what killed writers left.
// Only for the writer that holds the folder's lease. What is in them was never read by anybody.
void sweep_temporaries(const fs::path& folder, const std::string& prefix = "");

}  // namespace hebm::storage
