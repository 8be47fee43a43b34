#include "storage/lease_holder.h"
#include <unistd.h>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include "base/host.h"
#include "base/printable.h"
#include "base/status.h"
#include "storage/files.h"
#include "storage/lenient_json.h"

namespace hebm::storage::detail {
namespace {

std::string text_of(const fs::path& path) {  // of /proc, whose files have no size; "" where there is none
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Process {
  char state = 0;  // 0: there is none
  std::int64_t start_ticks = 0;
};

// /proc/PID/stat: "PID (NAME) STATE ..."; field 22: start time. The name may hold anything.
Process process_of(std::int64_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  Process process;
  fields >> process.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> process.start_ticks;
  return fields ? process : Process{};
}

std::string job_id() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "";
}

// Of lease.json, each once.
constexpr std::pair<const char*, std::string LeaseHolder::*> kTexts[] = {{"token", &LeaseHolder::token},
    {"host", &LeaseHolder::host}, {"boot", &LeaseHolder::boot}, {"pid_namespace", &LeaseHolder::pid_namespace},
    {"job", &LeaseHolder::job}, {"command", &LeaseHolder::command}};
constexpr std::pair<const char*, std::int64_t LeaseHolder::*> kNumbers[] = {
    {"pid", &LeaseHolder::pid}, {"start_ticks", &LeaseHolder::start_ticks}, {"time_s", &LeaseHolder::time_s}};

}  // namespace

std::string LeaseHolder::describe() const {
  if (token.empty()) return "a holder whose lease cannot be read";
  const double age_s = std::difftime(std::time(nullptr), static_cast<std::time_t>(time_s));
  return fmt::format("hebm_dist {}, process {} on {}, job {}, since {}", printable(command), pid, printable(host),
      job.empty() ? "none" : printable(job), format_duration(std::max(0.0, age_s)));
}

LeaseHolder this_process(const std::string& command) {
  LeaseHolder mine;
  mine.token = random_suffix();
  mine.host = host_name();
  mine.boot = text_of("/proc/sys/kernel/random/boot_id");
  std::error_code error;
  mine.pid_namespace = fs::read_symlink("/proc/self/ns/pid", error).string();  // "" where /proc does not tell
  mine.pid = ::getpid();
  mine.start_ticks = process_of(mine.pid).start_ticks;
  mine.job = job_id();
  mine.command = command;
  mine.time_s = std::time(nullptr);
  return mine;
}

std::string format_holder(const LeaseHolder& holder) {
  nlohmann::ordered_json json;
  for (const auto& [key, field] : kTexts) json[key] = holder.*field;
  for (const auto& [key, field] : kNumbers) json[key] = holder.*field;
  return json_text(json, 2) + "\n";
}

LeaseHolder parse_holder(const std::string& text) {
  const nlohmann::json json = lenient_json(text);
  LeaseHolder holder;
  for (const auto& [key, field] : kTexts) holder.*field = text_in(json, key);
  for (const auto& [key, field] : kNumbers) holder.*field = integer_in(json, key);
  return holder;
}

Life life_of(const LeaseHolder& holder, const LeaseHolder& observer) {
  const bool comparable = !holder.boot.empty() && holder.boot == observer.boot && !holder.pid_namespace.empty() &&
                          holder.pid_namespace == observer.pid_namespace;
  if (!comparable) return Life::kUnknown;
  const Process process = process_of(holder.pid);
  const bool gone =
      process.state == 0 || process.state == 'Z' || process.state == 'X';  // Z: only its exit code is left
  return gone || process.start_ticks != holder.start_ticks ? Life::kDead : Life::kAlive;
}

}  // namespace hebm::storage::detail
