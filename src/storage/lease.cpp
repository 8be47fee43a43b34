#include "storage/lease.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include "base/error.h"
#include "base/status.h"
#include "storage/lease_holder.h"

namespace hebm::storage {
namespace {

using detail::LeaseHolder;
using detail::Life;

constexpr auto kPause = std::chrono::milliseconds(200);
constexpr int kMaxRounds = 100;

std::chrono::duration<double> seconds(double value) { return std::chrono::duration<double>(value); }

// The file on disk: who holds it, and its time stamp by the file system's clock.
struct Found {
  LeaseHolder holder;
  double renewed_s = 0;
};

double renewed_s(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

std::optional<Found> find(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return {};
  try {
    return Found{detail::parse_holder(read_file(path, detail::kMaxLease)), renewed_s(path)};
  } catch (const Error&) {
    if (!fs::exists(fs::symlink_status(path, error))) return {};  // released between the two calls
    throw;
  }
}

// A temporary file with our content; gone with this object.
class Proposal {
 public:
  Proposal(const fs::path& path, const LeaseHolder& mine) : path_(temporary_name(path)) {
    HashedFileWriter writer(path_);
    writer.write(detail::format_holder(mine));
    writer.close_durable();
  }
  ~Proposal() { ::unlink(path_.c_str()); }  // best effort: sweep_temporaries would find it
  Proposal(const Proposal&) = delete;
  Proposal& operator=(const Proposal&) = delete;
  const fs::path& path() const { return path_; }
 private:
  fs::path path_;
};

bool holds(const fs::path& path, const std::string& token) {
  const std::optional<Found> found = find(path);
  return found && found->holder.token == token;
}

// Puts ours in the place of `former` (its token; none: an empty place), and looks after a while
// whether it has stayed. Where several do so at once the last one's stays: nothing slow may stand
// between the look and the rename.
bool replace(const fs::path& path, const LeaseHolder& mine, const std::optional<std::string>& former) {
  const Proposal proposal(path, mine);
  const std::optional<Found> found = find(path);
  if (found.has_value() != former.has_value() || (found && found->holder.token != *former)) return false;
  check(::rename(proposal.path().c_str(), path.c_str()) == 0, ExitCode::kRuntime, "{}: rename failed: {}",
      path.string(), std::generic_category().message(errno));
  std::this_thread::sleep_for(kPause);
  return holds(path, mine.token);
}

// True when there was no lease and now there is ours.
bool make_new(const fs::path& path, const LeaseHolder& mine) {
  {
    const Proposal proposal(path, mine);
    if (::link(proposal.path().c_str(), path.c_str()) == 0) return true;
    if (errno == EEXIST) return false;
    const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    check(no_links, ExitCode::kRuntime, "{}: link failed: {}", path.string(), std::generic_category().message(errno));
  }
  return replace(path, mine, {});
}

// Of the file system: the time stamp of a file made now.
double file_system_now_s(const fs::path& path, const LeaseHolder& mine) {
  return renewed_s(Proposal(path, mine).path());
}

[[noreturn]] void refuse(const fs::path& path, const Found& found, double age_s) {
  fail(ExitCode::kRuntime,
      "{} is in use by another job: {}; last sign of life {} ago. Wait for it, stop it, or choose another "
      "run.directory ({})",
      path.parent_path().string(), found.holder.describe(), format_duration(std::max(0.0, age_s)), path.string());
}

// Of a holder on another machine: alive when its time stamp moves, dead when not for expiry_s.
void wait_for_expiry(const fs::path& path, const Found& first, double age_s, const LeaseTimes& times) {
  const Timer waited;
  while (age_s + waited.seconds() < times.expiry_s) {
    std::this_thread::sleep_for(kPause);
    const std::optional<Found> now = find(path);
    if (!now) return;
    if (now->holder.token != first.holder.token || now->renewed_s != first.renewed_s) refuse(path, *now, 0);
  }
}

void acquire(const fs::path& path, const LeaseHolder& mine, const LeaseTimes& times) {
  for (int round = 0; round < kMaxRounds; ++round) {
    if (make_new(path, mine)) return;
    const std::optional<Found> found = find(path);
    if (!found) continue;
    const double age_s = file_system_now_s(path, mine) - found->renewed_s;
    const Life life = detail::life_of(found->holder, mine);
    if (life == Life::kAlive) refuse(path, *found, age_s);
    if (life == Life::kUnknown) wait_for_expiry(path, *found, age_s, times);
    if (replace(path, mine, found->holder.token)) return;
  }
  fail(ExitCode::kRuntime, "{}: the lease changes hands all the time; do several jobs use this folder?", path.string());
}

// The reason why the lease is lost; "" while it is ours. What cannot be read now is tried again.
std::string renew(const fs::path& path, const LeaseHolder& mine, double expiry_s) {
  try {
    const std::optional<Found> found = find(path);
    if (!found) make_new(path, mine);
    if (found && found->holder.token != mine.token) {
      return fmt::format("{} was taken over by another job: {}; this process was stopped or cut off for longer than {}",
          path.parent_path().string(), found->holder.describe(), format_duration(expiry_s));
    }
    static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0));  // a missed beat is nothing yet
  } catch (const Error&) {
    return "";  // a disk that is full or away: others see the time stamp stand still and may take over
  }
  return "";
}

}  // namespace

Lease::Lease(const fs::path& folder, const std::string& command, std::function<void(const std::string&)> on_lost,
    LeaseTimes times)
    : path_(file_of(folder)) {
  create_folders(folder);
  const LeaseHolder mine = detail::this_process(command);
  token_ = mine.token;
  acquire(path_, mine, times);
  renewer_ = std::jthread([path = path_, mine, times, on_lost = std::move(on_lost)](const std::stop_token& ending) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any nobody_notifies;
    while (!nobody_notifies.wait_for(lock, ending, seconds(times.renew_s), [&] { return ending.stop_requested(); })) {
      const std::string thief = renew(path, mine, times.expiry_s);
      if (!thief.empty()) return on_lost(thief);
    }
  });
}

Lease::~Lease() {
  renewer_.request_stop();
  renewer_.join();
  try {
    if (holds(path_, token_)) ::unlink(path_.c_str());
  } catch (const Error&) {
    // It stays, and is stale: this process ends.
  }
}

std::optional<std::string> Lease::holder_of(const fs::path& folder, LeaseTimes times) {
  const fs::path path = file_of(folder);
  const std::optional<Found> found = find(path);
  if (!found) return {};
  const LeaseHolder me = detail::this_process("status");
  const Life life = detail::life_of(found->holder, me);
  if (life == Life::kDead) return {};
  if (life == Life::kUnknown && file_system_now_s(path, me) - found->renewed_s >= times.expiry_s) return {};
  return found->holder.describe();
}

void sweep_temporaries(const fs::path& folder, const std::string& prefix) {
  for (const fs::path& path : temporaries_in(folder, prefix)) remove_tree(path);
}

}  // namespace hebm::storage
