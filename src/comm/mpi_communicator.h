// MPI under the contract of communicator.h. Every operation is posted non-blocking and waited for
// by polling, so that each wait has a time-out. Control and gradient sums use a communicator each:
// they can never match one another.
#pragma once
#define OMPI_SKIP_MPICXX 1  // only the C interface: the C++ one needs a library of its own
#include <mpi.h>
#include <array>
#include <exception>
#include <thread>
#include "comm/communicator.h"
#include "comm/launch_environment.h"

namespace hebm::comm {

// One call as all ranks must agree on it. Numbers of control calls and of gradient sums are counted
// apart.
struct Call {
  enum class Kind : std::int64_t { kAllReduce = 1, kBroadcast, kAllGather, kGather, kBarrier, kSum };
  Kind kind;
  char type = '-';          // 'f', 'd', 'i', 'b' (byte), '-' (none)
  std::int64_t count = 0;   // elements; 0 where ranks may differ
  std::int64_t detail = 0;  // the Op, or the root
  std::int64_t number = 0;  // 1, 2, ...
  std::string_view name{};  // of a gradient sum
  std::string describe() const;
};

class MpiCommunicator final : public Communicator {
 public:
  // MPI counts are int; longer spans go in pieces (also bounds the library's temporary memory).
  static constexpr std::int64_t kPieceElements = std::int64_t{1} << 26;

  // Initialises MPI. Throws Error(kEnvironment) where that fails or the world is not the announced
  // one.
  MpiCommunicator(
      const CommOptions& options, const LaunchEnvironment& launch, std::int64_t piece_elements = kPieceElements);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string_view kind() const override { return "mpi"; }
  int node() const override { return node_; }
  int local_rank() const { return local_rank_; }
  const std::string& host() const { return host_; }
  void all_reduce(std::span<float> values, Op op) override;
  void all_reduce(std::span<double> values, Op op) override;
  void all_reduce(std::span<std::int64_t> values, Op op) override;
  std::unique_ptr<Pending> start_sum(std::span<float> values, std::string_view name) override;
  std::unique_ptr<Pending> start_sum(std::span<std::int64_t> values, std::string_view name) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  std::vector<std::string> all_gather(std::string_view mine) override { return gather_texts(mine, true); }
  std::vector<std::string> gather(std::string_view mine) override { return gather_texts(mine, false); }
  void barrier() override;
  [[noreturn]] void abort(int exit_code) override;

  // For NcclCommunicator, whose waits end in the same way.
  double hang_timeout_s() const { return hang_timeout_s_; }
  [[noreturn]] void time_out(const Call& call, double waited_s);
 private:
  friend class MpiPending;
  void initialise();
  void find_node();
  void compare(const Call& call);
  [[noreturn]] void report_mismatch(const Call& call);
  void check_usable(const Call& call) const;
  void wait(std::span<MPI_Request> requests, const Call& call);
  std::vector<std::string> gather_texts(std::string_view mine, bool to_all);
  void check_mpi(int result, const char* function, const Call& call);
  template <class T> void reduce(std::span<T> values, Op op);
  template <class T> std::unique_ptr<Pending> start(std::span<T> values, std::string_view name);
  template <class T> std::vector<MPI_Request> post(std::span<T> values, MPI_Op op, MPI_Comm comm, const Call& call);

  double hang_timeout_s_;
  std::function<void(const std::string&)> last_words_;
  std::int64_t piece_elements_;
  std::thread::id main_thread_ = std::this_thread::get_id();
  int exceptions_at_start_ = std::uncaught_exceptions();
  MPI_Comm control_ = MPI_COMM_NULL, sums_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, node_ = 0, local_rank_ = 0;
  std::string host_;
  bool spin_ = false;    // no more ranks than cores on this machine: polling costs nobody anything
  bool broken_ = false;  // an operation failed: what peers do is unknown, so nothing more is sent
  std::int64_t control_calls_ = 0, sum_calls_ = 0;
};

}  // namespace hebm::comm
