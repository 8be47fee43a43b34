// A process as others on its machine can find it again, and whether it lives. Process numbers mean
// something on one machine and within one pid namespace only.
#pragma once
#include <cstdint>
#include <string>

namespace hebm {

struct ProcessId {
  std::string host, boot;                 // name; random id of the machine's start, the same in its containers
  std::string pid_namespace;              // "pid:[INODE]"; "" where /proc does not tell
  std::int64_t pid = 0, start_ticks = 0;  // the number alone may have been given to another process; 0: not known
};

ProcessId this_process();

enum class Life { kAlive, kDead, kUnknown };  // kUnknown: on another machine or in another container
// By kill(pid, 0), which sees processes that /proc hides (hidepid); /proc adds zombies and numbers
// that were given anew.
Life life_of(const ProcessId& process, const ProcessId& observer);
// As /proc says it: 'R' computes, 'S' sleeps, 'D' waits for a disk, 'T' is stopped; 0: not known.
char state_of(const ProcessId& process, const ProcessId& observer);

}  // namespace hebm
