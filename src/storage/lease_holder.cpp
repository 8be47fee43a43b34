#include "storage/lease_holder.h"
#include <fmt/chrono.h>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>
#include "base/printable.h"
#include "storage/files.h"
#include "storage/lenient_json.h"

namespace hebm::storage::detail {
namespace {

std::string job_id() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "";
}

std::string date_of(std::int64_t time_s) {
  const auto time = static_cast<std::time_t>(time_s);
  std::tm parts{};
  return ::gmtime_r(&time, &parts) == nullptr ? "?" : fmt::format("{:%F %H:%M} UTC", parts);
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
  return fmt::format("hebm_dist {}, process {} on {}, job {}, since {}", printable(command), pid, printable(host),
      job.empty() ? "none" : printable(job), date_of(time_s));
}

LeaseHolder this_process(const std::string& command) {
  LeaseHolder mine;
  static_cast<ProcessId&>(mine) = hebm::this_process();
  mine.token = random_suffix();
  mine.job = job_id();
  mine.command = command;
  mine.time_s = std::time(nullptr);
  return mine;
}

std::string format_holder(const LeaseHolder& holder, std::int64_t beat) {
  nlohmann::ordered_json json;
  for (const auto& [key, field] : kTexts) json[key] = holder.*field;
  for (const auto& [key, field] : kNumbers) json[key] = holder.*field;
  json["beat"] = fmt::format("{:016}", beat);
  return json_text(json, 2) + "\n";
}

LeaseHolder parse_holder(const std::string& text) {
  const nlohmann::json json = lenient_json(text);
  LeaseHolder holder;
  for (const auto& [key, field] : kTexts) holder.*field = text_in(json, key);
  for (const auto& [key, field] : kNumbers) holder.*field = integer_in(json, key);
  return holder;
}

}  // namespace hebm::storage::detail
