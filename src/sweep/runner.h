// Runs tasks as child processes, so many at a time, each under the lease of its folder; output goes
// to FOLDER/output.txt.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "base/signals.h"
#include "base/status.h"
#include "storage/lease.h"
#include "sweep/child.h"
#include "sweep/restarts.h"
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
    std::unique_ptr<Child> child;
  };
  void begin(const Task& task);
  void start_step(Active& active);
  bool ended(Active& active, int code);  // false: the task goes on
  void interrupted(const Active& active, int code);
  void failed(const Task& task, const std::string& step, int code, const std::string& why);

  RunSettings settings_;
  const StopFlag& stop_;
  Logger& logger_;
  std::vector<Active> active_;
  std::int64_t num_done_ = 0;
  int result_ = 0;
};

}  // namespace hebm::sweep
