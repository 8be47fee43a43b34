// One contract for a single process, MPI and NCCL: all ranks call the same operations in the same
// order; counts come from the spans; every wait ends where a rank dies or is silent for too long
// (CommOptions::hang_timeout_s). `single` is the identity. Only comm/ includes mpi.h or nccl.h.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
#include "base/choice.h"
#include "base/error.h"

namespace hebm {
class Options;
}

namespace hebm::comm {

enum class Kind { kAuto, kSingle, kMpi, kNccl };
constexpr std::array<Choice<Kind>, 4> choices_of(Kind) {
  return {{{"auto", Kind::kAuto}, {"single", Kind::kSingle}, {"mpi", Kind::kMpi}, {"nccl", Kind::kNccl}}};
}
enum class Device { kAuto, kCpu, kCuda };
constexpr std::array<Choice<Device>, 3> choices_of(Device) {
  return {{{"auto", Device::kAuto}, {"cpu", Device::kCpu}, {"cuda", Device::kCuda}}};
}

struct CommOptions {
  Kind kind = Kind::kAuto;
  // A collective that waits longer for a rank that neither waits nor ticks (base/progress.h) ends
  // all ranks with exit code 6; 0: as long as Phase::silence_now_s().
  double hang_timeout_s = 0;
  std::int64_t threads = 0;       // 0: by placement (see placement.h)
  Device device = Device::kAuto;  // compute.device
  bool graphs = true;             // compute.graphs: Langevin steps of a GPU are recorded as CUDA graphs
  bool share_gpu = false;         // compute.share_gpu: ranks of one machine may compute on one GPU (not under NCCL)
  // Gets the message of a time-out before the world is aborted (unset: stderr). No option.
  std::function<void(const std::string&)> last_words;
  void describe(Options& options);
};

// A sum that was started; wait() makes the buffer valid. The buffer must live until then. Waiting
// twice is harmless; destroying without waiting is an error that the destructor only reports (no
// collective runs in a destructor).
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
};

enum class Op { kSum, kMin, kMax };

// The elements of a contiguous range, to be changed in place.
struct Values {
  template <std::ranges::contiguous_range R> Values(R& range)
      : Values(std::span<std::ranges::range_value_t<R>>(range)) {}
  template <class T> Values(std::span<T> values)
      : data(reinterpret_cast<std::byte*>(values.data())), count(std::ssize(values)) {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t>);
    type = std::is_same_v<T, float> ? 'f' : std::is_same_v<T, double> ? 'd' : 'i';
  }
  std::int64_t element_bytes() const { return type == 'f' ? sizeof(float) : sizeof(double); }
  std::byte* data;
  std::int64_t count;
  char type;  // 'f', 'd', 'i': float, double, std::int64_t
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual Kind kind() const = 0;
  bool is_root() const { return rank() == 0; }
  // The lowest rank of those that share memory and cores with this one (MPI_Comm_split_type).
  virtual int node() const = 0;

  // Control plane (MPI also under NCCL), host memory, in place. Every call first compares its
  // number, kind, type and count over the ranks: ranks that are not in the same call all throw
  // Error(kRuntime) naming who is where.
  virtual void all_reduce(Values values, Op op) = 0;

  // In place sums of gradients, in host memory for mpi, GPU memory for nccl; single does not look
  // at it. They may overlap with computing and with each other and complete in any order. `name`
  // appears in time-out messages.
  virtual std::unique_ptr<Pending> start_sum(Values values, std::string_view name) = 0;

  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  // Every rank gets everybody's text, by rank. Lengths may differ (<= 2^31 - 1 bytes in all).
  virtual std::vector<std::string> all_gather(std::string_view mine) = 0;
  virtual void barrier() = 0;
  // Ends all ranks of the world with this exit code, now. Never returns.
  [[noreturn]] virtual void abort(int exit_code) = 0;
  // all_gather for rank 0 alone: others get nothing.
  virtual std::vector<std::string> gather(std::string_view mine) {
    auto all = all_gather(mine);
    return is_root() ? std::move(all) : std::vector<std::string>();
  }
};

// The world of this process; without a launcher (and with kind auto) that is `single` and MPI is
// never touched. Throws Error(kEnvironment) where the launcher and the world disagree (SLURM_NTASKS
// > 1 or OMPI_COMM_WORLD_SIZE > 1 with an MPI world of 1: names `srun --mpi=pmix`). One MPI world a
// process, until its end. The destructor finalises MPI, unless an exception is in flight.
std::unique_ptr<Communicator> make_communicator(const CommOptions& options);

// What agree throws: the same on every rank, so one may speak for all, and all leave in order.
class AgreedError : public Error {
 public:
  using Error::Error;
};

// Runs `local` on this rank; if it threw on any rank, every rank throws the same AgreedError (the
// lowest failing rank's code and message, prefixed "rank R: " where there are several) - so a check
// that differs between ranks leaves none in a collective. `local` must not communicate.
void agree(Communicator& comm, const std::function<void()>& local);
// The same of work that rank 0 alone does, and of a question that it answers for all.
void on_root(Communicator& comm, const std::function<void()>& work);
bool root_says(Communicator& comm, const std::function<bool()>& answer);

// True on all ranks when `flag` is true on any.
bool any(Communicator& comm, bool flag);

}  // namespace hebm::comm
