#include "sweep/child.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <string_view>
#include <system_error>
#include "base/error.h"

namespace hebm::sweep {
namespace {

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

}  // namespace

Child::Child(const std::vector<std::string>& words, const std::filesystem::path& output) {
  check(!words.empty(), ExitCode::kRuntime, "a child process without a command");
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  check(file >= 0, ExitCode::kRuntime, "{}: cannot be opened: {}", output.string(),
      std::generic_category().message(errno));
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0) pid_ = ::fork();
  if (nothing >= 0 && pid_ == 0) become(pointers.data(), file, nothing);
  const int error = errno;
  ::close(file);
  if (nothing >= 0) ::close(nothing);
  check(pid_ > 0, ExitCode::kRuntime, "{}: cannot be started: {}", words[0], std::generic_category().message(error));
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

}  // namespace hebm::sweep
