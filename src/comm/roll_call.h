// Who hangs: a rank that waits long asks all others by messages of their own, and who waits or
// ticks (base/progress.h) answers. Inside of the MPI communicator; on main's thread alone.
#pragma once
#define OMPI_SKIP_MPICXX 1  // only the C interface: the C++ one needs a library of its own
#include <mpi.h>
#include <array>
#include <list>
#include <optional>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/process.h"

namespace hebm::comm {

class RollCall {
 public:
  // Collective over `comm`, which nobody else may use.
  explicit RollCall(MPI_Comm comm);

  struct Verdict {
    ExitCode code;    // kPeer: a rank died or hangs; kRuntime: ranks wait for each other
    std::string who;  // "rank 1 on node7 hangs: ..."
  };
  // A wait begins.
  void begin();
  // Called now and then while this rank waits in `call` since waited_s. Why it cannot end, where
  // that is known: by silence_s, but for ranks that answer.
  std::optional<Verdict> watch(double waited_s, double silence_s, const std::string& call);
  // This rank is at work: answers who asked. Never fails.
  void answer_at_work(const std::string& phase);
 private:
  struct Answer {
    bool waits = false;  // else it is at work
    std::string where;
    bool operator==(const Answer&) const = default;
  };
  struct Sent {
    MPI_Request request = MPI_REQUEST_NULL;
    std::string text;
  };
  void send(int to, int tag, std::string text);
  void serve(const Answer& mine);
  void take(int from, const std::string& text);
  void ask(double period_start_s, double allowed_s);
  std::optional<Verdict> dead() const;
  std::optional<Verdict> judge(double waited_s, const std::string& call);
  Verdict silent_ones() const;
  Verdict deadlock(const std::string& call) const;
  std::string name_of(std::size_t rank) const;
  bool i_speak() const;

  MPI_Comm comm_;
  int rank_ = 0;
  std::vector<ProcessId> ranks_;  // all
  std::list<Sent> sent_;          // until MPI has taken them
  // Of the present wait; a period is the time that ranks have to answer in.
  double served_s_ = 0, looked_s_ = 0, period_start_s_ = 0, allowed_s_ = 0;
  bool asked_ = false, confirming_ = false;
  std::int64_t round_ = 0;  // of asking; an answer names the round
  std::vector<std::optional<Answer>> answers_, former_;
};

}  // namespace hebm::comm
