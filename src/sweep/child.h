// A command as a child process, in a process group of its own (Ctrl-C reaches the parent alone); it
// gets TERM when the parent dies.
#pragma once
#include <sys/types.h>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hebm::sweep {

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

}  // namespace hebm::sweep
