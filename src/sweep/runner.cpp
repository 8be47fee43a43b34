#include "sweep/runner.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string_view>
#include <system_error>
#include <thread>
#include "base/error.h"
#include "storage/files.h"

namespace hebm::sweep {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);
constexpr int kRequeueCode = static_cast<int>(ExitCode::kRequeue), kRuntimeCode = static_cast<int>(ExitCode::kRuntime);
constexpr int kNotFound = 127;  // as a shell says it

int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void become(char* const* words, int output, int nothing) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::dup2(nothing, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 && ::dup2(output, STDERR_FILENO) >= 0)
    ::execvp(words[0], words);
  constexpr std::string_view kMessage =
      "hebm_dist: error: the command of this step could not be started: no such program?\n";
  if (::write(output, kMessage.data(), kMessage.size()) < 0) ::_exit(kNotFound);
  ::_exit(kNotFound);
}

// Codes after which the same command can go on.
bool is_interruption(int code) {
  return code == kRequeueCode || code == static_cast<int>(ExitCode::kPeer) || code > 128;
}

}  // namespace

Child::Child(const std::vector<std::string>& words, const std::filesystem::path& output) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  const storage::Descriptor file(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, "open"),
      nothing("/dev/null", O_RDONLY | O_CLOEXEC, "open");
  pid_ = ::fork();
  if (pid_ == 0) become(pointers.data(), file.get(), nothing.get());
  check(pid_ > 0, ExitCode::kRuntime, "{}: cannot be started: {}", words[0], std::generic_category().message(errno));
}

Child::~Child() {
  if (code_) return;
  signal(SIGTERM);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
}

std::optional<int> Child::finished() {
  int status = 0;
  if (!code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) code_ = code_of(status);
  return code_;
}

void Child::signal(int number) {
  if (!code_) ::kill(pid_, number);  // a zombie until finished() has seen it: the number is still its own
}

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
    while (!stop_.requested() && next < tasks.size() && std::ssize(active_) < settings_.jobs) begin(tasks[next++]);
    std::erase_if(active_, [&](Active& active) {
      const auto code = active.child->finished();
      return code && ended(active, *code);
    });
    std::this_thread::sleep_for(kLook);
  }
  logger_.line("{} of {} done", num_done_, tasks.size());
  if (stop_.requested() && num_done_ < std::ssize(tasks)) return kRequeueCode;
  return result_;
}

void Runner::begin(const Task& task) {
  try {
    const storage::LeaseWait wait{[&](const std::string& line) { logger_.line("{}: {}", task.label, line); },
        [this] { return stop_.requested(); }};
    Active active{&task,
        std::make_unique<storage::Lease>(task.folder, "sweep run", settings_.on_lost, storage::LeaseTimes{}, wait)};
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
    result_ = kRuntimeCode;
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
  const bool can_go_on = is_interruption(code);
  if (can_go_on && (stop_.requested() || settings_.scheduled)) return interrupted(active, code);
  try {
    if (can_go_on) {
      logger_.line("{}: {} was interrupted (exit code {}): started again", task.label, step, code);
      note_start(task.folder, true, settings_.max_restarts);
    } else if (code != 0) {
      return failed(task, step, code, last_error(task.folder / "output.txt"));
    } else if (++active.step < task.steps.size() && stop_.requested()) {
      return interrupted(active, kRequeueCode);
    }
    if (active.step < task.steps.size()) {
      start_step(active);
      return false;
    }
  } catch (const Error& e) {
    return failed(task, step, static_cast<int>(e.code()), e.what());
  }
  if (!task.done()) return failed(task, step, kRuntimeCode, "all commands returned 0, but a product is missing");
  record_state(task.folder, {.standing = Standing::kDone});
  logger_.line("{}: done ({} so far)", task.label, ++num_done_);
  return true;
}

bool Runner::interrupted(const Active& active, int code) {
  const std::string& step = active.task->steps[active.step].command;
  record_state(active.task->folder, {.standing = Standing::kResumable, .step = step, .exit_code = code});
  logger_.line("{}: {} was interrupted (exit code {}); it can go on", active.task->label, step, code);
  if (result_ == 0) result_ = code;
  return true;
}

bool Runner::failed(const Task& task, const std::string& step, int code, const std::string& why) {
  record_state(task.folder, {.standing = Standing::kFailed, .step = step, .exit_code = code, .why = why});
  logger_.line("{}: FAILED: {} returned {}: {}", task.label, step, code, why);
  if (result_ == 0) result_ = settings_.scheduled ? code : kRuntimeCode;
  return true;
}

}  // namespace hebm::sweep
