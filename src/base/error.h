// Errors and exit codes. Every failure a user can meet is an Error: what failed, expected against
// got, which file, key or tensor, then what to do. Rank, host and step are prefixed once, in main.
// Names of base/ live in hebm itself.
#pragma once
#include <fmt/core.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace hebm {

enum class ExitCode : int {
  kDone = 0,
  kRuntime = 1,      // also: a save failed while training went on
  kUsage = 2,        // command line or configuration
  kDiverged = 3,     // rollbacks spent
  kCorrupt = 4,      // data set, cache or checkpoint
  kEnvironment = 5,  // MPI, NCCL, GPU, launcher
  kPeer = 6,         // a peer died or hung; the newest checkpoint is valid
  kRequeue = 75,     // state saved, wants to be requeued
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }
 private:
  ExitCode code_;
};

template <class... Args> [[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error(code) unless ok; the message is only formatted on failure.
template <class... Args> void check(bool ok, ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(code, format, std::forward<Args>(args)...);
}

}  // namespace hebm
