#include "comm/mpi_communicator.h"
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

namespace hebm::comm {
namespace {

constexpr std::size_t kCallFields = 5, kFields = kCallFields + 2;

std::array<std::int64_t, kCallFields> fields(const Call& call) {
  return {call.number, static_cast<std::int64_t>(call.kind), call.type, call.count, call.detail};
}

// FNV-1a: small enough that -x is one, too.
std::int64_t hash_with(std::int64_t seed, std::string_view text) {
  auto hash = static_cast<std::uint64_t>(seed) ^ 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return static_cast<std::int64_t>(hash >> 2);
}

MPI_Datatype mpi_type(char type) { return type == 'f' ? MPI_FLOAT : type == 'd' ? MPI_DOUBLE : MPI_INT64_T; }

MPI_Op mpi_op(Op op) { return std::array<MPI_Op, 3>{MPI_SUM, MPI_MIN, MPI_MAX}.at(static_cast<std::size_t>(op)); }

}  // namespace

StartedSum::~StartedSum() {
  if (!finish_ || *broken_) return;
  *broken_ = true;
  // While an exception unwinds, the world is about to be aborted: no second message.
  if (std::uncaught_exceptions() == exceptions_at_start_) {
    fmt::print(stderr, "{} was started but never waited for\n", what_);
  }
}

template <class Start> void MpiCommunicator::run(const char* function, const Call& call, const Start& start) {
  std::array<MPI_Request, 1> request = {MPI_REQUEST_NULL};
  check_mpi(start(request.data()), function, call);
  wait(request, call);
}

template <class Start>
std::vector<MPI_Request> MpiCommunicator::post_pieces(const char* function, const Call& call, const Start& start) {
  std::vector<MPI_Request> requests;
  for (std::int64_t first = 0; first < call.count; first += piece_elements_) {
    const std::int64_t elements = std::min(piece_elements_, call.count - first);
    requests.push_back(MPI_REQUEST_NULL);
    check_mpi(start(first, static_cast<int>(elements), &requests.back()), function, call);
  }
  return requests;
}

std::vector<MPI_Request> MpiCommunicator::post_sum(Values values, Op op, MPI_Comm comm, const Call& call) {
  return post_pieces("MPI_Iallreduce", call, [&](std::int64_t first, int elements, MPI_Request* request) {
    std::byte* data = values.data + first * values.element_bytes();
    return MPI_Iallreduce(MPI_IN_PLACE, data, elements, mpi_type(values.type), mpi_op(op), comm, request);
  });
}

void MpiCommunicator::all_reduce(Values values, Op op) {
  const Call call = begin({.kind = Call::Kind::kAllReduce,
      .type = values.type,
      .count = values.count,
      .detail = static_cast<std::int64_t>(op)});
  std::vector<MPI_Request> requests = post_sum(values, op, control_, call);
  wait(requests, call);
}

std::unique_ptr<Pending> MpiCommunicator::start_sum(Values values, std::string_view name) {
  const Call call = Call::sum(values, ++sum_calls_, name);
  check_usable(call);
  std::vector<MPI_Request> requests = post_sum(values, Op::kSum, sums_, call);
  note_sum(call);
  std::function<void()> finish;
  if (!requests.empty()) {
    ++sums_under_way_;
    finish = [this, call, requests = std::move(requests)]() mutable {
      check_usable(call);
      wait(requests, call);
      --sums_under_way_;
      settle_sums();
    };
  }
  settle_sums();
  return std::make_unique<StartedSum>(fmt::format("rank {}: {}", rank_, call.describe()), &broken_, std::move(finish));
}

void MpiCommunicator::note_sum(const Call& call) {
  last_sum_ = call.describe();
  sums_hash_ = hash_with(sums_hash_, last_sum_);
}

void MpiCommunicator::settle_sums() {
  if (sums_under_way_ != 0) return;
  settled_calls_ = sum_calls_;
  settled_hash_ = sums_hash_;
}

void MpiCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  check(root >= 0 && root < size_, ExitCode::kRuntime, "broadcast from rank {} in a world of {}", root, size_);
  const Call call = begin({.kind = Call::Kind::kBroadcast, .type = 'b', .count = std::ssize(bytes), .detail = root});
  std::vector<MPI_Request> requests =
      post_pieces("MPI_Ibcast", call, [&](std::int64_t first, int elements, MPI_Request* request) {
        return MPI_Ibcast(bytes.data() + first, elements, MPI_BYTE, root, control_, request);
      });
  wait(requests, call);
}

std::vector<std::string> MpiCommunicator::gather_texts(std::string_view mine, bool to_all) {
  const Call call = begin({.kind = to_all ? Call::Kind::kAllGather : Call::Kind::kGather, .type = 'b'});
  const auto ranks = static_cast<std::size_t>(size_);
  std::vector<std::int64_t> lengths(ranks);
  const std::int64_t length = std::ssize(mine);
  run("MPI_Iallgather", call, [&](MPI_Request* request) {
    return MPI_Iallgather(&length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, control_, request);
  });
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
  run(to_all ? "MPI_Iallgatherv" : "MPI_Igatherv", call, [&](MPI_Request* request) {
    return to_all ? MPI_Iallgatherv(mine.data(), from, MPI_BYTE, everything.data(), counts.data(), offsets.data(),
                        MPI_BYTE, control_, request)
                  : MPI_Igatherv(mine.data(), from, MPI_BYTE, everything.data(), counts.data(), offsets.data(),
                        MPI_BYTE, 0, control_, request);
  });
  if (!is_taking) return {};
  std::vector<std::string> texts(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    texts[r] = everything.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r]));
  }
  return texts;
}

// Comparing is a reduction that every rank enters before any leaves: a barrier already.
void MpiCommunicator::barrier() { begin({.kind = Call::Kind::kBarrier}); }

// Minimum of x and of -x: equal up to sign where all ranks have the same x.
Call MpiCommunicator::begin(Call call) {
  call.number = ++control_calls_;
  check_usable(call);
  const auto of_call = fields(call);
  std::array<std::int64_t, kFields> mine{};
  std::ranges::copy(of_call, mine.begin());
  mine[kCallFields] = settled_calls_;
  mine[kCallFields + 1] = settled_hash_;
  std::array<std::int64_t, 2 * kFields> bounds{};
  for (std::size_t f = 0; f < kFields; ++f) {
    bounds[f] = mine[f];
    bounds[kFields + f] = -mine[f];
  }
  run("MPI_Iallreduce", call, [&](MPI_Request* request) {
    return MPI_Iallreduce(
        MPI_IN_PLACE, bounds.data(), static_cast<int>(bounds.size()), MPI_INT64_T, MPI_MIN, control_, request);
  });
  for (std::size_t f = 0; f < kFields; ++f) {
    if (bounds[f] != -bounds[kFields + f]) report_mismatch(call);
  }
  return call;
}

void MpiCommunicator::report_mismatch(const Call& call) {
  const auto mine = fields(call);
  std::vector<std::int64_t> all(kCallFields * static_cast<std::size_t>(size_));
  run("MPI_Iallgather", call, [&](MPI_Request* request) {
    return MPI_Iallgather(
        mine.data(), kCallFields, MPI_INT64_T, all.data(), kCallFields, MPI_INT64_T, control_, request);
  });
  const std::string sums = report_sums(call);
  broken_ = true;  // what the ranks would send next belongs to different calls
  bool same_call = true;
  for (std::size_t i = 0; i < all.size(); ++i) same_call = same_call && all[i] == mine[i % kCallFields];
  if (same_call) fail(ExitCode::kRuntime, "{}: {}", call.describe(), sums);
  std::string message = "ranks are in different collectives:";
  for (std::size_t r = 0; r < static_cast<std::size_t>(size_); ++r) {
    const std::int64_t* f = &all[r * kCallFields];
    if (r > 0 && std::equal(f, f + kCallFields, f - kCallFields)) continue;  // as the rank before
    const Call theirs{.kind = static_cast<Call::Kind>(f[1]),
        .type = static_cast<char>(f[2]),
        .count = f[3],
        .detail = f[4],
        .number = f[0]};
    message += fmt::format("{} rank {} in {}", r == 0 ? "" : ";", r, theirs.describe());
  }
  fail(ExitCode::kRuntime, "{} (ranks not named are where the one named before them is)", message);
}

std::string MpiCommunicator::report_sums(const Call& call) {
  constexpr int kLength = 256;
  std::array<char, kLength> mine{};
  const std::string text = fmt::format("{} (hash {:016x}), the last: {}", settled_calls_,
      static_cast<std::uint64_t>(settled_hash_), last_sum_.substr(0, 180));
  std::ranges::copy(text.substr(0, kLength - 1), mine.begin());
  std::vector<char> all(mine.size() * static_cast<std::size_t>(size_));
  run("MPI_Iallgather", call, [&](MPI_Request* request) {
    return MPI_Iallgather(mine.data(), kLength, MPI_CHAR, all.data(), kLength, MPI_CHAR, control_, request);
  });
  std::string message = "ranks have started different gradient sums:", before;
  for (std::size_t r = 0; r < static_cast<std::size_t>(size_); ++r) {
    const std::string theirs = &all[r * mine.size()];
    if (r > 0 && theirs == before) continue;
    message += fmt::format("{} rank {} {}", r == 0 ? "" : ";", r, theirs);
    before = theirs;
  }
  return message + " (ranks not named are where the one named before them is)";
}

}  // namespace hebm::comm
