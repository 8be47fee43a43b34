// MPI under the contract of communicator.h. Every operation is posted non-blocking and waited for
// by polling, so that each wait has a time-out. Control and gradient sums use a communicator each:
// they can never match one another.
#pragma once
#define OMPI_SKIP_MPICXX 1  // only the C interface: the C++ one needs a library of its own
#include <mpi.h>
#include <exception>
#include <memory>
#include <thread>
#include "comm/communicator.h"
#include "comm/launch_environment.h"
#include "comm/roll_call.h"

namespace hebm::comm {

// One call as all ranks must agree on it. Control calls and gradient sums are counted apart.
struct Call {
  enum class Kind : std::int64_t { kAllReduce = 1, kBroadcast, kAllGather, kGather, kBarrier, kSum };
  Kind kind;
  char type = '-';          // as Values::type, 'b' (byte), '-' (none)
  std::int64_t count = 0;   // elements; 0 where ranks may differ
  std::int64_t detail = 0;  // the Op, or the root
  std::int64_t number = 0;  // 1, 2, ...
  std::string name{};       // of a gradient sum
  std::string describe() const;
  static Call sum(const Values& values, std::int64_t number, std::string_view name) {
    return {Kind::kSum, values.type, values.count, 0, number, std::string(name)};
  }
};

// A sum under way; `finish` waits for it (empty: there is nothing to wait for). Where nobody does,
// what peers do is unknown: `broken` becomes true.
class StartedSum final : public Pending {
 public:
  StartedSum(std::string what, bool* broken, std::function<void()> finish)
      : what_(std::move(what)), broken_(broken), finish_(std::move(finish)) {}
  ~StartedSum() override;
  StartedSum(const StartedSum&) = delete;
  StartedSum& operator=(const StartedSum&) = delete;
  void wait() override {
    if (finish_) finish_();
    finish_ = nullptr;
  }
 private:
  std::string what_;
  bool* broken_;
  std::function<void()> finish_;
  int exceptions_at_start_ = std::uncaught_exceptions();
};

class MpiCommunicator final : public Communicator {
 public:
  // MPI counts are int; longer spans go in pieces (also bounds the library's temporary memory).
  static constexpr std::int64_t kPieceElements = std::int64_t{1} << 26;

  // Initialises MPI. Error(kEnvironment) where that fails or the world is not the announced one.
  MpiCommunicator(
      const CommOptions& options, const LaunchEnvironment& launch, std::int64_t piece_elements = kPieceElements);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Kind kind() const override { return Kind::kMpi; }
  int node() const override { return node_; }
  int local_rank() const { return local_rank_; }
  void all_reduce(Values values, Op op) override;
  std::unique_ptr<Pending> start_sum(Values values, std::string_view name) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  std::vector<std::string> all_gather(std::string_view mine) override { return gather_texts(mine, true); }
  std::vector<std::string> gather(std::string_view mine) override { return gather_texts(mine, false); }
  void barrier() override;
  [[noreturn]] void abort(int exit_code) override;

  // Until done(). Every wait, NCCL's too, is this one, so that each has the time-out. spin: this
  // rank has a core to itself.
  void poll(const Call& call, bool spin, const std::function<bool()>& done);
 private:
  void initialise();
  void find_node();
  // Ends the world: this call cannot end.
  [[noreturn]] void give_up(const Call& call, double waited_s, double silence_s, const RollCall::Verdict& verdict);
  // A control call: numbered, and compared over the ranks.
  Call begin(Call call);
  [[noreturn]] void report_mismatch(const Call& call);
  std::string report_sums(const Call& call);
  void note_sum(const Call& call);
  void settle_sums();
  void check_usable(const Call& call) const;
  void wait(std::span<MPI_Request> requests, const Call& call);
  std::vector<std::string> gather_texts(std::string_view mine, bool to_all);
  void check_mpi(int result, const char* function, const Call& call);
  // start(request) is the MPI function, which is waited for.
  template <class Start> void run(const char* function, const Call& call, const Start& start);
  // The same a piece of call.count elements, start(first, elements, request); not waited for.
  template <class Start>
  std::vector<MPI_Request> post_pieces(const char* function, const Call& call, const Start& start);
  std::vector<MPI_Request> post_sum(Values values, Op op, MPI_Comm comm, const Call& call);

  double hang_timeout_s_;
  std::function<void(const std::string&)> last_words_;
  std::int64_t piece_elements_;
  std::thread::id main_thread_ = std::this_thread::get_id();
  int exceptions_at_start_ = std::uncaught_exceptions();
  MPI_Comm control_ = MPI_COMM_NULL, sums_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, node_ = 0, local_rank_ = 0;
  bool spin_ = false;    // no more ranks than cores on this machine: polling costs nobody anything
  bool broken_ = false;  // an operation failed: what peers do is unknown, so nothing more is sent
  std::int64_t control_calls_ = 0, sum_calls_ = 0;
  // Gradient sums as all ranks must have started them, compared by the control calls. Settled: when
  // the last time no sum was under way.
  std::int64_t sums_hash_ = 0, sums_under_way_ = 0;
  std::int64_t settled_calls_ = 0, settled_hash_ = 0;
  std::string last_sum_ = "none";
  std::unique_ptr<RollCall> roll_call_;
  Call last_done_{.kind = Call::Kind::kBarrier};  // all ranks have entered it; number 0: none yet
};

}  // namespace hebm::comm
