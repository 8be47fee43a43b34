#include "comm/mpi_communicator.h"
#include <algorithm>
#include <cstdio>
#include <limits>
#include "base/status.h"
#include "comm/backoff.h"
#include "comm/end_process.h"

namespace hebm::comm {
namespace {

template <class T> struct TypeOf;
template <> struct TypeOf<float> {
  static constexpr char kLetter = 'f';
  static MPI_Datatype mpi() { return MPI_FLOAT; }
};
template <> struct TypeOf<double> {
  static constexpr char kLetter = 'd';
  static MPI_Datatype mpi() { return MPI_DOUBLE; }
};
template <> struct TypeOf<std::int64_t> {
  static constexpr char kLetter = 'i';
  static MPI_Datatype mpi() { return MPI_INT64_T; }
};

MPI_Op mpi_op(Op op) {
  switch (op) {
    case Op::kSum: return MPI_SUM;
    case Op::kMin: return MPI_MIN;
    case Op::kMax: return MPI_MAX;
  }
  fail(ExitCode::kRuntime, "unknown reduction {}", static_cast<int>(op));
}

}  // namespace

// A started sum; one request a piece.
class MpiPending final : public Pending {
 public:
  MpiPending(MpiCommunicator& comm, Call call, std::string name) : comm_(comm), name_(std::move(name)), call_(call) {
    call_.name = name_;
  }
  ~MpiPending() override {
    const bool waited = requests_.empty();
    // While an exception unwinds, the world is about to be aborted: no second message.
    if (waited || comm_.broken_) return;
    comm_.broken_ = true;
    if (std::uncaught_exceptions() == comm_.exceptions_at_start_) {
      fmt::print(stderr, "rank {}: {} was started but never waited for\n", comm_.rank_, call_.describe());
    }
  }
  MpiPending(const MpiPending&) = delete;
  MpiPending& operator=(const MpiPending&) = delete;

  void wait() override {
    if (requests_.empty()) return;
    comm_.check_usable(call_);
    comm_.wait(requests_, call_);
    requests_.clear();
  }
  const Call& call() const { return call_; }
  void set_requests(std::vector<MPI_Request> requests) { requests_ = std::move(requests); }
 private:
  MpiCommunicator& comm_;
  std::string name_;
  Call call_;
  std::vector<MPI_Request> requests_;
};

template <class T>
std::vector<MPI_Request> MpiCommunicator::post(std::span<T> values, MPI_Op op, MPI_Comm comm, const Call& call) {
  std::vector<MPI_Request> requests;
  const auto piece = static_cast<std::size_t>(piece_elements_);
  for (std::size_t first = 0; first < values.size(); first += piece) {
    const std::span<T> part = values.subspan(first, std::min(piece, values.size() - first));
    requests.push_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, part.data(), static_cast<int>(part.size()), TypeOf<T>::mpi(), op, comm,
                  &requests.back()),
        "MPI_Iallreduce", call);
  }
  return requests;
}

template <class T> void MpiCommunicator::reduce(std::span<T> values, Op op) {
  const Call call{.kind = Call::Kind::kAllReduce,
      .type = TypeOf<T>::kLetter,
      .count = std::ssize(values),
      .detail = static_cast<std::int64_t>(op),
      .number = ++control_calls_};
  compare(call);
  std::vector<MPI_Request> requests = post(values, mpi_op(op), control_, call);
  wait(requests, call);
}

template <class T> std::unique_ptr<Pending> MpiCommunicator::start(std::span<T> values, std::string_view name) {
  auto pending = std::make_unique<MpiPending>(*this,
      Call{.kind = Call::Kind::kSum, .type = TypeOf<T>::kLetter, .count = std::ssize(values), .number = ++sum_calls_},
      std::string(name));
  check_usable(pending->call());
  pending->set_requests(post(values, MPI_SUM, sums_, pending->call()));
  return pending;
}

void MpiCommunicator::all_reduce(std::span<float> values, Op op) { reduce(values, op); }
void MpiCommunicator::all_reduce(std::span<double> values, Op op) { reduce(values, op); }
void MpiCommunicator::all_reduce(std::span<std::int64_t> values, Op op) { reduce(values, op); }

std::unique_ptr<Pending> MpiCommunicator::start_sum(std::span<float> values, std::string_view name) {
  return start(values, name);
}
std::unique_ptr<Pending> MpiCommunicator::start_sum(std::span<std::int64_t> values, std::string_view name) {
  return start(values, name);
}

void MpiCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  check(root >= 0 && root < size_, ExitCode::kRuntime, "broadcast from rank {} in a world of {}", root, size_);
  const Call call{.kind = Call::Kind::kBroadcast,
      .type = 'b',
      .count = std::ssize(bytes),
      .detail = root,
      .number = ++control_calls_};
  compare(call);
  const auto piece = static_cast<std::size_t>(piece_elements_);
  std::vector<MPI_Request> requests;
  for (std::size_t first = 0; first < bytes.size(); first += piece) {
    const auto part = bytes.subspan(first, std::min(piece, bytes.size() - first));
    requests.push_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Ibcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, control_, &requests.back()),
        "MPI_Ibcast", call);
  }
  wait(requests, call);
}

std::vector<std::string> MpiCommunicator::gather_texts(std::string_view mine, bool to_all) {
  const Call call{
      .kind = to_all ? Call::Kind::kAllGather : Call::Kind::kGather, .type = 'b', .number = ++control_calls_};
  compare(call);
  const auto ranks = static_cast<std::size_t>(size_);
  std::vector<std::int64_t> lengths(ranks);
  const auto length = static_cast<std::int64_t>(mine.size());
  std::array<MPI_Request, 1> request = {MPI_REQUEST_NULL};
  check_mpi(MPI_Iallgather(&length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, control_, request.data()),
      "MPI_Iallgather", call);
  wait(request, call);
  std::vector<int> counts(ranks), offsets(ranks);
  std::int64_t total = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    // The same lengths everywhere, so this fails on all ranks or none.
    check(lengths[r] >= 0 && total + lengths[r] <= std::numeric_limits<int>::max(), ExitCode::kRuntime,
        "a gather of more than 2^31 - 1 bytes (rank {} brings {})", r, lengths[r]);
    counts[r] = static_cast<int>(lengths[r]);
    offsets[r] = static_cast<int>(total);
    total += lengths[r];
  }
  const bool is_taking = to_all || is_root();
  std::string everything(is_taking ? static_cast<std::size_t>(total) : 0, '\0');
  const auto from = static_cast<int>(length);
  check_mpi(to_all ? MPI_Iallgatherv(mine.data(), from, MPI_BYTE, everything.data(), counts.data(), offsets.data(),
                         MPI_BYTE, control_, request.data())
                   : MPI_Igatherv(mine.data(), from, MPI_BYTE, everything.data(), counts.data(), offsets.data(),
                         MPI_BYTE, 0, control_, request.data()),
      to_all ? "MPI_Iallgatherv" : "MPI_Igatherv", call);
  wait(request, call);
  if (!is_taking) return {};
  std::vector<std::string> texts(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    texts[r] = everything.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r]));
  }
  return texts;
}

void MpiCommunicator::barrier() {
  // Comparing is a reduction that every rank enters before any leaves: a barrier already.
  compare({.kind = Call::Kind::kBarrier, .number = ++control_calls_});
}

}  // namespace hebm::comm
