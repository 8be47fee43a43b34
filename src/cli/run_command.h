// The driver of the commands that work on a run directory, on all ranks. Such a command says its
// options, what its --dry-run tells, what it reads and what it makes; parsing, communicator, lease
// and log are here.
#pragma once
#include "cli/command.h"
#include "cli/context.h"

namespace hebm::cli {

class RunCommand : public Command {
 public:
  using Command::Command;
  void declare(Options& options) final;  // run.*, data.*, comm.*, then describe()
  bool reads_pipeline_ini() const final { return true; }
  int execute(const Invocation& call) override;
  Lines dry_run() {  // what it says beside the configuration
    resolve();
    return plan();
  }
 protected:
  virtual void describe(Options& options) = 0;
  // After parsing: checks across options, and what follows from them. Error(kUsage).
  virtual void resolve() {}
  // --dry-run.
  virtual Lines plan() = 0;
  // Reads what the command needs, and refuses what does not fit, before anything is written.
  virtual void open() = 0;
  virtual Folders folders(const Invocation& call) const { return {RunPaths(run_).run / call.command, {}}; }
  // Returns the exit code.
  virtual int work(Context& context) = 0;

  RunOptions run_;
};

// dry_run() of a RunCommand with these arguments.
Lines plan_lines(const CommandRow& row, Arguments args);

}  // namespace hebm::cli
