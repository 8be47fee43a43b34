#include "base/process.h"
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include "base/host.h"

namespace hebm {
namespace {

std::string text_of(const std::string& path) {  // of /proc, whose files have no size; "" where there is none
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Seen {
  char state = 0;  // 0: there is none, or it is hidden
  std::int64_t start_ticks = 0;
};

// /proc/PID/stat: "PID (NAME) STATE ..."; field 22: start time. The name may hold anything.
Seen look_at(std::int64_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  Seen seen;
  fields >> seen.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> seen.start_ticks;
  return fields ? seen : Seen{};
}

bool comparable(const ProcessId& a, const ProcessId& b) {
  return a.pid > 0 && !a.boot.empty() && !a.pid_namespace.empty() && a.host == b.host && a.boot == b.boot &&
         a.pid_namespace == b.pid_namespace;
}

}  // namespace

ProcessId this_process() {
  ProcessId mine;
  mine.host = host_name();
  mine.boot = text_of("/proc/sys/kernel/random/boot_id");
  std::erase(mine.boot, '\n');
  std::error_code error;
  mine.pid_namespace = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  mine.pid = ::getpid();
  mine.start_ticks = look_at(mine.pid).start_ticks;
  return mine;
}

Life life_of(const ProcessId& process, const ProcessId& observer) {
  if (!comparable(process, observer)) return Life::kUnknown;
  if (::kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) return Life::kDead;  // EPERM: it is there
  const Seen seen = look_at(process.pid);
  if (seen.state == 0) return Life::kAlive;                        // hidden
  if (seen.state == 'Z' || seen.state == 'X') return Life::kDead;  // only its exit code is left
  return process.start_ticks == 0 || process.start_ticks == seen.start_ticks ? Life::kAlive : Life::kDead;
}

char state_of(const ProcessId& process, const ProcessId& observer) {
  return comparable(process, observer) ? look_at(process.pid).state : '\0';
}

}  // namespace hebm
