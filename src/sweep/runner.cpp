#include "sweep/runner.h"
#include <chrono>
#include <csignal>
#include <thread>
#include "base/error.h"

namespace hebm::sweep {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);
constexpr int kRequeueCode = static_cast<int>(ExitCode::kRequeue);

// Codes after which the same command can go on.
bool is_interruption(int code) {
  return code == kRequeueCode || code == static_cast<int>(ExitCode::kPeer) || code > 128;
}

}  // namespace

Runner::Runner(RunSettings settings, const StopFlag& stop, Logger& logger)
    : settings_(std::move(settings)), stop_(stop), logger_(logger) {}

int Runner::run(const std::vector<Task>& tasks) {
  std::size_t next = 0;
  bool told = false;
  num_done_ = result_ = 0;
  while (!active_.empty() || (next < tasks.size() && !stop_.requested())) {
    if (stop_.requested() && !told) {
      logger_.line("stopping: {} running task(s) save first", active_.size());
      for (Active& active : active_) active.child->signal(SIGUSR1);
      told = true;
    }
    while (!stop_.requested() && next < tasks.size() && static_cast<std::int64_t>(active_.size()) < settings_.jobs)
      begin(tasks[next++]);
    std::erase_if(active_, [&](Active& active) {
      const auto code = active.child->finished();
      return code && ended(active, *code);
    });
    std::this_thread::sleep_for(kLook);
  }
  logger_.line("{} of {} done", num_done_, tasks.size());
  if (stop_.requested() && num_done_ < static_cast<std::int64_t>(tasks.size())) return kRequeueCode;
  return result_;
}

void Runner::begin(const Task& task) {
  try {
    Active active{.task = &task,
        .lease = std::make_unique<storage::Lease>(task.folder, "sweep run", settings_.on_lost),
        .step = 0,
        .child = {}};
    try {
      note_start(task.folder, settings_.restarted, settings_.max_restarts);
      start_step(active);
    } catch (const Error& e) {
      failed(task, task.steps.front().command, static_cast<int>(e.code()), e.what());
      return;
    }
    active_.push_back(std::move(active));
  } catch (const Error& e) {  // the lease: another job's, whose state is not ours to record
    logger_.line("{}: {}", task.label, e.what());
    result_ = static_cast<int>(ExitCode::kRuntime);
  }
}

void Runner::start_step(Active& active) {
  const Step& step = active.task->steps[active.step];
  std::vector<std::string> words = settings_.program;
  words.push_back(step.command);
  words.insert(words.end(), step.options.begin(), step.options.end());
  words.insert(words.end(), settings_.options.begin(), settings_.options.end());
  record_state(active.task->folder, {.standing = Standing::kRunning, .step = step.command});
  logger_.line("{}: {}", active.task->label, step.command);
  active.child = std::make_unique<Child>(words, active.task->folder / "output.txt");
}

bool Runner::ended(Active& active, int code) {
  const Task& task = *active.task;
  const std::string& step = task.steps[active.step].command;
  if (is_interruption(code) && (stop_.requested() || settings_.scheduled)) {
    interrupted(active, code);
    return true;
  }
  try {
    if (is_interruption(code)) {
      logger_.line("{}: {} was interrupted (exit code {}): started again", task.label, step, code);
      note_start(task.folder, true, settings_.max_restarts);
      start_step(active);
      return false;
    }
    if (code != 0) {
      failed(task, step, code, last_error(task.folder / "output.txt"));
      return true;
    }
    if (++active.step < task.steps.size()) {
      if (stop_.requested()) {
        interrupted(active, kRequeueCode);
        return true;
      }
      start_step(active);
      return false;
    }
  } catch (const Error& e) {
    failed(task, step, static_cast<int>(e.code()), e.what());
    return true;
  }
  const bool whole = task.state().standing == Standing::kDone;
  if (!whole) {
    failed(task, step, static_cast<int>(ExitCode::kRuntime), "all commands returned 0, but a product is missing");
    return true;
  }
  record_state(task.folder, {.standing = Standing::kDone});
  ++num_done_;
  logger_.line("{}: done ({} so far)", task.label, num_done_);
  return true;
}

void Runner::interrupted(const Active& active, int code) {
  const std::string& step = active.task->steps[active.step].command;
  record_state(active.task->folder, {.standing = Standing::kResumable, .step = step, .exit_code = code});
  logger_.line("{}: {} was interrupted (exit code {}); it can go on", active.task->label, step, code);
  if (result_ == 0) result_ = code;
}

void Runner::failed(const Task& task, const std::string& step, int code, const std::string& why) {
  record_state(task.folder, {.standing = Standing::kFailed, .step = step, .exit_code = code, .why = why});
  logger_.line("{}: FAILED: {} returned {}: {}", task.label, step, code, why);
  if (result_ == 0) result_ = settings_.scheduled ? code : static_cast<int>(ExitCode::kRuntime);
}

}  // namespace hebm::sweep
