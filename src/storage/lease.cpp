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
#include <vector>
#include "base/error.h"
#include "base/status.h"
#include "storage/hash.h"
#include "storage/lease_holder.h"

namespace hebm::storage {
namespace {

using detail::LeaseHolder;
using detail::Life;

constexpr auto kSettle = std::chrono::milliseconds(200);
constexpr auto kLook = std::chrono::milliseconds(200);
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
    const std::string text = detail::format_holder(mine);
    HashedFileWriter writer(path_);
    writer.write(as_bytes(text.data(), text.size()));
    writer.close_durable();
  }
  ~Proposal() { ::unlink(path_.c_str()); }  // best effort: sweep_temporaries would find it
  Proposal(const Proposal&) = delete;
  Proposal& operator=(const Proposal&) = delete;
  const fs::path& path() const { return path_; }
 private:
  fs::path path_;
};

bool holds(const fs::path& path, const LeaseHolder& mine) {
  const std::optional<Found> found = find(path);
  return found && found->holder.token == mine.token;
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
  std::this_thread::sleep_for(kSettle);
  return holds(path, mine);
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

// The holder may be on another machine: it is alive when its time stamp moves, dead when it has not
// moved for expiry_s.
void wait_for_expiry(const fs::path& path, const Found& first, double age_s, const LeaseTimes& times) {
  const Timer waited;
  while (age_s + waited.seconds() < times.expiry_s) {
    std::this_thread::sleep_for(kLook);
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

}  // namespace

struct Lease::Impl {
  fs::path path;
  LeaseHolder mine;
  std::function<void(const std::string&)> on_lost;
  LeaseTimes times;
  std::mutex mutex;
  std::condition_variable ending_changed;
  bool ending = false;
  std::thread thread;

  void keep() {
    std::unique_lock lock(mutex);
    while (!ending_changed.wait_for(lock, seconds(times.renew_s), [this] { return ending; })) {
      const std::string thief = renew();
      if (thief.empty()) continue;
      lock.unlock();
      on_lost(thief);
      return;
    }
  }

  // The reason why the lease is lost; "" while it is ours. What cannot be read now is tried again.
  std::string renew() {
    try {
      const std::optional<Found> found = find(path);
      if (!found) make_new(path, mine);
      if (found && found->holder.token != mine.token) {
        return fmt::format(
            "{} was taken over by another job: {}; this process was stopped or cut off for longer than {}",
            path.parent_path().string(), found->holder.describe(), format_duration(times.expiry_s));
      }
      static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0));  // a missed beat is nothing yet
    } catch (const Error&) {
      return "";  // a disk that is full or away: others see the time stamp stand still and may take over
    }
    return "";
  }
};

Lease::Lease(const fs::path& folder, const std::string& command, std::function<void(const std::string&)> on_lost,
    LeaseTimes times)
    : impl_(std::make_unique<Impl>()) {
  create_folders(folder);
  impl_->path = file_of(folder);
  impl_->mine = detail::this_process(command);
  impl_->on_lost = std::move(on_lost);
  impl_->times = times;
  acquire(impl_->path, impl_->mine, times);
  impl_->thread = std::thread([impl = impl_.get()] { impl->keep(); });
}

Lease::~Lease() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->ending_changed.notify_one();
  impl_->thread.join();
  try {
    if (holds(impl_->path, impl_->mine)) ::unlink(impl_->path.c_str());
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
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::size_t kDigits = 16;
  std::error_code error;
  std::vector<fs::path> doomed;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename();
    const std::size_t mark = name.rfind(kTemporaryMark);
    if (!name.starts_with(prefix) || mark == std::string::npos || name.size() != mark + kTemporaryMark.size() + kDigits)
      continue;
    if (name.find_first_not_of(kHex, mark + kTemporaryMark.size()) == std::string::npos) doomed.push_back(it->path());
  }
  for (const fs::path& path : doomed) remove_tree(path);
}

}  // namespace hebm::storage
