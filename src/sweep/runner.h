// Runs tasks as child processes, so many at a time, each under the lease of its folder; output goes
// to FOLDER/output.txt.
#pragma once
#include <sys/types.h>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "base/signals.h"
#include "base/status.h"
#include "storage/lease.h"
#include "sweep/tasks.h"

namespace hebm::sweep {

struct RunSettings {
  std::vector<std::string> program;  // what starts a command: {"hebm_dist"}, or a launcher's words before it
  std::vector<std::string> options;  // more, for every command
  std::int64_t jobs = 1, max_restarts = kMaxRestarts;
  // A batch job: an interrupted task (exit codes 6, 75, a signal) is left to the scheduler, which
  // starts us again (restarted); without one it is started again here.
  bool scheduled = false, restarted = false;
  std::function<void(const std::string&)> on_lost;  // storage/lease.h
};

// A command as a child process, in a process group of its own (Ctrl-C reaches the parent alone); it
// gets TERM when the parent dies.
class Child {
 public:
  // words[0] is looked for in PATH. stdout and stderr are appended to `output`, stdin is empty.
  Child(const std::vector<std::string>& words, const std::filesystem::path& output);
  ~Child();  // one that still runs gets TERM and is waited for
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::optional<int> finished();  // exit code, 128 + signal of a killed one; nothing while it runs
  void signal(int number);
 private:
  pid_t pid_ = -1;
  std::optional<int> code_;
};

class Runner {
 public:
  Runner(RunSettings settings, const StopFlag& stop, Logger& logger);
  // Returns an exit code: 0 where all are done, 75 after a stop (every task saved first), 1 where
  // some failed or are another job's; of a batch job what its task's command returned.
  int run(const std::vector<Task>& tasks);
 private:
  struct Active {
    const Task* task = nullptr;
    std::unique_ptr<storage::Lease> lease;
    std::size_t step = 0;
    std::unique_ptr<Child> child{};
  };
  void begin(const Task& task);
  void start_step(Active& active);
  bool ended(Active& active, int code);                                                      // false: the task goes on
  bool interrupted(const Active& active, int code);                                          // true
  bool failed(const Task& task, const std::string& step, int code, const std::string& why);  // true

  RunSettings settings_;
  const StopFlag& stop_;
  Logger& logger_;
  std::vector<Active> active_;
  std::int64_t num_done_ = 0;
  int result_ = 0;
};

}  // namespace hebm::sweep
