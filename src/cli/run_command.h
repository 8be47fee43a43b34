// The driver of the commands that work on a run directory, on all ranks. Such a command says its
// options, what its --dry-run tells, what it reads and what it makes; parsing, communicator, lease,
// log, fingerprint, "already done" and printing are here.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "cli/command.h"
#include "cli/context.h"
#include "results/json.h"

namespace hebm::cli {

class RunCommand : public Command {
 public:
  using Command::Command;
  void declare(Options& options) final;  // run.*, data.*, comm.*, then describe()
  bool reads_pipeline_ini() const final { return true; }
  int execute(const Invocation& call) override;
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

// A command whose artifact is one result file, made once for one fingerprint, and printed as a
// table or (--json) as it is.
class ResultCommand : public RunCommand {
 public:
  using RunCommand::RunCommand;
 protected:
  void describe(Options& options) final;  // declare_result(), then --json
  Lines plan() final;
  int work(Context& context) final;

  virtual void declare_result(Options& options) = 0;
  virtual std::string json_help() const { return "print the result file instead of the table"; }
  // Files that earlier commands make: without them --dry-run checks the options alone.
  virtual std::vector<std::filesystem::path> inputs() const = 0;
  virtual Lines sizes() const = 0;              // --dry-run, with all inputs there
  virtual std::string result_name() const = 0;  // RUN/results/NAME.json
  // Beside the options: hashes of all that is read.
  virtual nlohmann::json fingerprint(const Context& context) const = 0;
  // Puts the nets on context.device().
  virtual void prepare(Context& context) const = 0;
  virtual nlohmann::json make_json(Context& context) const = 0;
  virtual std::string table(const nlohmann::json& result) const = 0;

  std::filesystem::path file() const { return RunPaths(run_).results() / (result_name() + ".json"); }
 private:
  bool json_ = false;
};

// A Base (ResultCommand or of it) whose result is an R of results/. Its `seconds`, if any, are
// those of make().
template <class Base, class R> class Making : public Base {
 public:
  using Base::Base;
 protected:
  virtual R make(Context& context) const = 0;
 private:
  nlohmann::json make_json(Context& context) const final {
    const Timer timer;
    R out = make(context);
    if constexpr (requires { out.seconds; }) out.seconds = timer.seconds();
    return results::to_json(out);
  }
  std::string table(const nlohmann::json& result) const final { return text_of(results::from_json<R>(result)); }
};

}  // namespace hebm::cli
