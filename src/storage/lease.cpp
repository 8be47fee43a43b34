#include "storage/lease.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include "base/error.h"
#include "base/progress.h"
#include "base/status.h"
#include "storage/lease_holder.h"

namespace hebm::storage {
namespace {

using detail::LeaseHolder;

constexpr double kPause_s = 0.1;
constexpr double kLongestPause_s = 1;  // of a wait that counts: the looking job may have been stopped itself
constexpr double kSurelyOld_s = 600;   // for those who only look: beyond any clock that is set
constexpr int kMaxRounds = 100;

std::chrono::duration<double> seconds(double value) { return std::chrono::duration<double>(value); }

// The file on disk. A renewal changes the text; of a program without a counter, the time.
struct Found {
  LeaseHolder holder;
  std::string text;
  timespec written{};  // compared with itself alone
  bool same_as(const Found& other) const {
    return text == other.text && written.tv_sec == other.written.tv_sec && written.tv_nsec == other.written.tv_nsec;
  }
};

bool is_there(const fs::path& path) { return fs::exists(fs::symlink_status(path)); }

std::optional<Found> find(const fs::path& path) {
  if (!is_there(path)) return {};
  try {
    Found found;
    found.text = read_file(path, detail::kMaxLease);
    found.holder = detail::parse_holder(found.text);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) found.written = status.st_mtim;
    return found;
  } catch (const Error&) {
    if (!is_there(path)) return {};  // released between the two calls
    throw;
  }
}

// A file of its own with our content, "lease.json.tmp-...", until it goes.
class Proposal {
 public:
  Proposal(const fs::path& path, const LeaseHolder& mine) : path_(temporary_name(path)), text_(format_holder(mine)) {
    HashedFileWriter writer(path_);
    writer.write(text_);
    writer.close_durable();
  }
  ~Proposal() { ::unlink(path_.c_str()); }  // best effort: sweep_temporaries would find it
  Proposal(const Proposal&) = delete;
  Proposal& operator=(const Proposal&) = delete;

  enum class Placed { kYes, kTaken, kSwept };  // kSwept: a new holder has removed this file as left over
  // Under this name as well, if it is free.
  Placed link_to(const fs::path& target) const {
    if (::link(path_.c_str(), target.c_str()) == 0) return Placed::kYes;
    if (errno == EEXIST) return Placed::kTaken;
    if (errno == ENOENT) return Placed::kSwept;
    const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    check(no_links, ExitCode::kRuntime, "{}: link failed: {}", target.string(), std::generic_category().message(errno));
    return create(target);
  }
  // In the place of what is there.
  Placed rename_to(const fs::path& target) const {
    if (::rename(path_.c_str(), target.c_str()) == 0) return Placed::kYes;
    check(errno == ENOENT, ExitCode::kRuntime, "{}: rename failed: {}", target.string(),
        std::generic_category().message(errno));
    return Placed::kSwept;
  }
 private:
  // Who reads before all is written sees a holder of whom nothing is known, and looks again.
  Placed create(const fs::path& target) const {
    try {
      HashedFileWriter writer(target);
      writer.write(text_);
      writer.close_durable();
      return Placed::kYes;
    } catch (const Error&) {
      if (is_there(target)) return Placed::kTaken;
      throw;
    }
  }
  fs::path path_;
  std::string text_;
};

[[noreturn]] void refuse(const fs::path& path, const LeaseHolder& holder, std::string_view why) {
  fail(ExitCode::kRuntime,
      "{} is in use by another job: {}; {}. Wait for it, stop it, or choose another run.directory ({})",
      path.parent_path().string(), holder.describe(), why, path.string());
}

bool same_holder(const Found& a, const Found& b) {
  return a.holder.token == b.holder.token && (!a.holder.token.empty() || a.text == b.text);
}

// How one job comes to a folder's lease.
class Taking {
 public:
  Taking(const fs::path& path, const LeaseHolder& mine, const LeaseTimes& times, const LeaseWait& wait)
      : path_(path), mine_(mine), times_(times), wait_(wait) {}

  void run() const {
    for (int round = 0; round < kMaxRounds; ++round) {
      const Proposal proposal(path_, mine_);
      if (proposal.link_to(path_) == Proposal::Placed::kYes) return;
      const std::optional<Found> found = find(path_);
      if (found && is_stale(path_, *found) && take_over(proposal, *found)) return;
    }
    fail(ExitCode::kRuntime, "{}: the lease changes hands all the time; do several jobs use this folder?",
        path_.string());
  }
 private:
  // False where it is gone or another's by now. An Error where its holder lives.
  bool is_stale(const fs::path& file, const Found& found) const {
    const Life life = life_of(found.holder, mine_);
    if (life == Life::kAlive) refuse(path_, found.holder, "that process lives");
    return life == Life::kDead || stands_still(file, found);
  }

  // Of a holder that cannot be asked for: alive when its file changes, dead when not for expiry_s.
  bool stands_still(const fs::path& file, const Found& first) const {
    if (wait_.say) {
      wait_.say(
          fmt::format("{} may be in use by another job: {}, on another machine or in another container. This job "
                      "waits up to {} for a sign of life and then takes over ({})",
              path_.parent_path().string(), first.holder.describe(), format_duration(times_.expiry_s), file.string()));
    }
    Timer pause;
    for (double waited_s = 0; waited_s < times_.expiry_s; waited_s += std::min(pause.seconds(), kLongestPause_s)) {
      pause.restart();
      check(!wait_.stop || !wait_.stop(), ExitCode::kRequeue, "{}: asked to stop while it waited for another job: {}",
          path_.parent_path().string(), first.holder.describe());
      tick();
      std::this_thread::sleep_for(seconds(std::min(kPause_s, 0.1 * times_.expiry_s)));
      const std::optional<Found> now = find(file);
      if (!now || !same_holder(*now, first)) return false;
      if (!now->same_as(first)) refuse(path_, now->holder, "it renewed its lease while this job looked");
    }
    return true;
  }

  // lease.json.tmp-...: who made it may replace that lease; where that job died, the right passes
  // on to who claims its token, and so on. With it nobody replaces a lease that is new meanwhile.
  fs::path claim_of(const Found& stale) const {
    const std::string& name = stale.holder.token.empty() ? stale.text : stale.holder.token;
    return path_.string() + fmt::format(".tmp-{:016x}", hash64(as_bytes(name.data(), name.size())));
  }

  // Ours in the place of a stale lease. False where another job was first, or on its way.
  bool take_over(const Proposal& proposal, const Found& former) const {
    fs::path claim = claim_of(former);
    for (int heir = 0; heir < kMaxRounds; ++heir) {
      const Proposal::Placed placed = proposal.link_to(claim);
      if (placed == Proposal::Placed::kSwept) return false;
      if (placed == Proposal::Placed::kYes) return replace(proposal, former, claim);
      const std::optional<Found> claimant = find(claim);
      if (!claimant || !is_stale(claim, *claimant)) return false;
      claim = claim_of(*claimant);
    }
    return false;
  }

  bool replace(const Proposal& proposal, const Found& former, const fs::path& claim) const {
    const std::optional<Found> found = find(path_);
    const bool taken = found && same_holder(*found, former) && proposal.rename_to(path_) == Proposal::Placed::kYes;
    ::unlink(claim.c_str());  // best effort: it has the name of a temporary
    return taken;
  }

  const fs::path& path_;
  const LeaseHolder& mine_;
  const LeaseTimes& times_;
  const LeaseWait& wait_;
};

// In place, so that a lease that is another's by now is never overwritten.
void write_beat(const fs::path& path, const LeaseHolder& mine, std::int64_t beat) {
  Descriptor file(path, O_RDWR, "open for renewal");
  std::string text(std::min<std::uint64_t>(file.regular_size(), detail::kMaxLease), '\0');
  const ssize_t read = ::pread(file.get(), text.data(), text.size(), 0);
  if (read != std::ssize(text) || detail::parse_holder(text).token != mine.token) return;
  const std::string renewed = format_holder(mine, beat);
  file.write(as_bytes(renewed.data(), renewed.size()));
  file.close_or_fail();
}

// The reason why the lease is lost; "" while it is ours. What cannot be read now is tried again.
std::string renew(const fs::path& path, const LeaseHolder& mine, std::int64_t beat, double expiry_s) {
  try {
    const std::optional<Found> found = find(path);
    if (!found) {
      Proposal(path, mine).link_to(path);
    } else if (found->holder.token != mine.token) {
      return fmt::format("{} was taken over by another job: {}; this process was stopped or cut off for longer than {}",
          path.parent_path().string(), found->holder.describe(), format_duration(expiry_s));
    } else {
      write_beat(path, mine, beat);
    }
  } catch (const std::exception&) {
    // A disk that is full or away: others see the counter stand still and may take over.
  }
  return "";
}

// Of a holder that cannot be asked for, for those who only look. The file's time decides where it
// leaves no doubt.
bool seems_alive(const fs::path& path, const Found& found, const LeaseTimes& times) {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_REALTIME, &now));
  const double age_s = static_cast<double>(now.tv_sec - found.written.tv_sec) +
                       1e-9 * static_cast<double>(now.tv_nsec - found.written.tv_nsec);
  if (std::abs(age_s) < times.expiry_s) return true;
  if (age_s > kSurelyOld_s) return false;
  const Timer watched;
  while (watched.seconds() < 2 * times.renew_s) {
    std::this_thread::sleep_for(seconds(kPause_s));
    const std::optional<Found> now = find(path);
    if (!now) return false;
    if (!now->same_as(found)) return true;
  }
  return false;
}

}  // namespace

Lease::Lease(const fs::path& folder, const std::string& command, std::function<void(const std::string&)> on_lost,
    LeaseTimes times, const LeaseWait& wait)
    : path_(file_of(folder)) {
  create_folders(folder);
  const LeaseHolder mine = detail::this_process(command);
  token_ = mine.token;
  Taking(path_, mine, times, wait).run();
  renewer_ = std::jthread([path = path_, mine, times, on_lost = std::move(on_lost)](const std::stop_token& ending) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any nobody_notifies;
    for (std::int64_t beat = 1;; ++beat) {
      if (nobody_notifies.wait_for(lock, ending, seconds(times.renew_s), [&] { return ending.stop_requested(); }))
        return;
      const std::string thief = renew(path, mine, beat, times.expiry_s);
      if (!thief.empty()) return on_lost(thief);
    }
  });
}

Lease::~Lease() {
  renewer_.request_stop();
  renewer_.join();
  try {
    const std::optional<Found> found = find(path_);
    if (found && found->holder.token == token_) ::unlink(path_.c_str());
  } catch (const std::exception&) {
    // It stays, and is stale: this process ends.
  }
}

std::optional<std::string> Lease::holder_of(const fs::path& folder, LeaseTimes times) {
  const fs::path path = file_of(folder);
  const std::optional<Found> found = find(path);
  if (!found) return {};
  const Life life = life_of(found->holder, hebm::this_process());
  const bool alive = life == Life::kAlive || (life == Life::kUnknown && seems_alive(path, *found, times));
  return alive ? std::optional(found->holder.describe()) : std::nullopt;
}

void sweep_temporaries(const fs::path& folder, const std::string& prefix) {
  for (const fs::path& path : temporaries_in(folder, prefix)) remove_tree(path);
}

}  // namespace hebm::storage
