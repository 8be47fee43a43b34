// A child process whose output is read and whose exit is waited for, both with a time limit.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace hebm::comm {

struct Finished {
  int code = -1;       // exit code; 1000 + signal; -1: still running
  std::string output;  // stdout and stderr
  double seconds = 0;  // that finish() took
};

class Launched {
 public:
  explicit Launched(const std::vector<std::string>& command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    pid_ = fork();
    if (pid_ == 0) {
      std::vector<char*> args;
      for (const std::string& word : command) args.push_back(const_cast<char*>(word.c_str()));
      args.push_back(nullptr);
      dup2(ends[1], 1);
      dup2(ends[1], 2);
      execv(args[0], args.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = ends[0];
  }
  ~Launched() {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    close(output_);
  }
  Launched(const Launched&) = delete;

  pid_t pid() const { return pid_; }

  bool wait_for(const std::string& text, double limit_s) {
    const auto start = std::chrono::steady_clock::now();
    while (text_.find(text) == std::string::npos) {
      if (seconds_since(start) > limit_s || !read_more()) return false;
    }
    return true;
  }

  Finished finish(double limit_s) {
    const auto start = std::chrono::steady_clock::now();
    while (seconds_since(start) < limit_s && read_more()) {
    }
    int status = 0;
    Finished finished;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (seconds_since(start) > limit_s) return {.code = -1, .output = text_ + "[still running]", .seconds = limit_s};
      usleep(10000);
    }
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), text_, seconds_since(start)};
  }
 private:
  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  // False at the end of the output.
  bool read_more() {
    pollfd poll_output{output_, POLLIN, 0};
    if (poll(&poll_output, 1, 50) <= 0) return true;
    char buffer[4096];
    const ssize_t count = read(output_, buffer, sizeof buffer);
    if (count > 0) text_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
  }
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
};

}  // namespace hebm::comm
