#include "comm/communicator.h"
#include <algorithm>
#include <array>
#include <exception>
#include <limits>
#include <optional>

namespace hebm::comm {
namespace {

struct Failure {
  ExitCode code;
  std::string message;
};

std::optional<Failure> run(const std::function<void()>& local) {
  try {
    local();
  } catch (const Error& error) {
    return Failure{error.code(), error.what()};
  } catch (const std::exception& error) {
    return Failure{ExitCode::kRuntime, error.what()};
  }
  return std::nullopt;
}

}  // namespace

void agree(Communicator& comm, const std::function<void()>& local) {
  const std::optional<Failure> failure = run(local);
  constexpr std::int64_t kNobody = std::numeric_limits<std::int64_t>::max();
  std::array<std::int64_t, 1> lowest = {failure ? comm.rank() : kNobody};
  comm.all_reduce(lowest, Op::kMin);
  if (lowest[0] == kNobody) return;
  const int failing = static_cast<int>(lowest[0]);
  const bool mine = failing == comm.rank();
  std::array<std::int64_t, 1> code = {mine ? static_cast<std::int64_t>(failure->code) : 0};
  comm.all_reduce(code, Op::kMax);  // exit codes are positive
  const std::vector<std::string> messages = comm.all_gather(mine ? std::string_view(failure->message) : "");
  const std::string& message = messages.at(static_cast<std::size_t>(failing));
  throw AgreedError(
      static_cast<ExitCode>(code[0]), comm.size() > 1 ? fmt::format("rank {}: {}", failing, message) : message);
}

bool any(Communicator& comm, bool flag) {
  std::array<std::int64_t, 1> raised = {flag ? 1 : 0};
  comm.all_reduce(raised, Op::kMax);
  return raised[0] != 0;
}

}  // namespace hebm::comm
