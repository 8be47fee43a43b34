#include "comm/roll_call.h"
#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <sstream>

namespace hebm::comm {
namespace {

constexpr int kAsk = 1, kAnswer = 2;
constexpr int kMaxLength = 1024;  // MPI sends so little without the receiver's help
constexpr std::size_t kMaxText = kMaxLength;
constexpr double kServeEvery_s = 0.05, kLookEvery_s = 1, kConfirm_s = 2, kLetSpeak_s = 3;

// Who a rank is, in lines; one length for all ranks.
std::array<char, kMaxText> packed(const ProcessId& id) {
  std::array<char, kMaxText> out{};
  const std::string text = fmt::format("{}\n{}\n{}\n{} {}", id.host.substr(0, 255), id.boot.substr(0, 255),
      id.pid_namespace.substr(0, 255), id.pid, id.start_ticks);
  std::copy_n(text.begin(), std::min(text.size(), kMaxText - 1), out.begin());
  return out;
}

ProcessId unpacked(const char* text) {
  std::istringstream in(text);
  ProcessId id;
  std::getline(in, id.host);
  std::getline(in, id.boot);
  std::getline(in, id.pid_namespace);
  in >> id.pid >> id.start_ticks;
  return id;
}

const char* state_in_words(char state) {
  switch (state) {
    case 'T':
    case 't': return "its process is stopped (SIGSTOP, a suspended job or a debugger)";
    case 'R': return "its process computes or spins";
    case 'D': return "its process waits for a disk or a file system";
    case 'S': return "its process sleeps";
    default: return "it gives no answer: stopped, spinning, or cut off";
  }
}

}  // namespace

RollCall::RollCall(MPI_Comm comm) : comm_(comm) {
  int size = 1;
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size);
  const auto count = static_cast<std::size_t>(size);
  std::vector<char> all(count * kMaxText);
  const auto mine = packed(this_process());
  const int result = MPI_Allgather(mine.data(), kMaxLength, MPI_CHAR, all.data(), kMaxLength, MPI_CHAR, comm_);
  check(result == MPI_SUCCESS, ExitCode::kEnvironment, "MPI_Allgather failed at the start with MPI error {}", result);
  for (std::size_t r = 0; r < count; ++r) ranks_.push_back(unpacked(&all[r * kMaxText]));
  answers_.resize(count);
}

void RollCall::begin() {
  served_s_ = looked_s_ = period_start_s_ = 0;
  asked_ = confirming_ = false;
  former_.clear();
}

std::optional<RollCall::Verdict> RollCall::watch(double waited_s, double silence_s, const std::string& call) {
  if (waited_s - served_s_ < kServeEvery_s) return {};
  served_s_ = waited_s;
  serve({true, call});
  if (waited_s - looked_s_ >= kLookEvery_s) {
    looked_s_ = waited_s;
    if (auto verdict = dead()) return verdict;
  }
  const double in_period_s = waited_s - period_start_s_;
  if (!asked_ && in_period_s >= silence_s / 2) ask(waited_s - in_period_s, silence_s);
  if (!asked_ || in_period_s < allowed_s_) return {};
  return judge(waited_s, call);
}

// Of ranks on this machine: no launcher is needed to see it.
std::optional<RollCall::Verdict> RollCall::dead() const {
  const ProcessId& mine = ranks_[static_cast<std::size_t>(rank_)];
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    if (life_of(ranks_[r], mine) == Life::kDead)
      return Verdict{ExitCode::kPeer, fmt::format("{} died: its process {} is gone", name_of(r), ranks_[r].pid)};
  }
  return {};
}

void RollCall::ask(double period_start_s, double allowed_s) {
  asked_ = true;
  period_start_s_ = period_start_s;
  allowed_s_ = allowed_s;
  ++round_;
  std::ranges::fill(answers_, std::nullopt);
  for (int r = 0; r < std::ssize(ranks_); ++r) {
    if (r != rank_) send(r, kAsk, std::to_string(round_));
  }
}

std::optional<RollCall::Verdict> RollCall::judge(double waited_s, const std::string& call) {
  answers_[static_cast<std::size_t>(rank_)] = Answer{true, call};
  const bool all_answered = std::ranges::all_of(answers_, [](const auto& a) { return a.has_value(); });
  if (!all_answered && !confirming_) {
    if (!i_speak() && waited_s - period_start_s_ < allowed_s_ + kLetSpeak_s) return {};
    return silent_ones();
  }
  const bool all_wait = all_answered && std::ranges::all_of(answers_, [](const auto& a) { return a->waits; });
  if (all_wait && confirming_ && answers_ == former_) return deadlock(call);
  confirming_ = all_wait;
  former_ = answers_;
  if (confirming_) {
    ask(waited_s, kConfirm_s);
  } else {  // somebody is at work: as much time again
    asked_ = false;
    period_start_s_ = waited_s;
  }
  return {};
}

// The lowest of those that answer; the others wait a little, and are ended by it.
bool RollCall::i_speak() const {
  const auto first = std::ranges::find_if(answers_, [](const auto& a) { return a && a->waits; });
  return first - answers_.begin() == rank_;
}

RollCall::Verdict RollCall::silent_ones() const {
  const ProcessId& mine = ranks_[static_cast<std::size_t>(rank_)];
  std::string who;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    if (!answers_[r])
      who +=
          fmt::format("{}{} hangs: {}", who.empty() ? "" : "; ", name_of(r), state_in_words(state_of(ranks_[r], mine)));
  }
  return {ExitCode::kPeer, who};
}

// The network, where all are in one call; else the program is wrong.
RollCall::Verdict RollCall::deadlock(const std::string& call) const {
  if (std::ranges::all_of(answers_, [&](const auto& a) { return a->where == call; }))
    return {ExitCode::kPeer, "all ranks are in this call and it does not end: look at the network between them"};
  std::string who = "ranks wait for each other in different collectives:";
  for (std::size_t r = 0; r < answers_.size(); ++r) {
    if (r > 0 && answers_[r]->where == answers_[r - 1]->where) continue;
    who += fmt::format("{} rank {} in {}", r == 0 ? "" : ";", r, answers_[r]->where);
  }
  return {ExitCode::kRuntime, who + " (ranks not named are where the one named before them is)"};
}

std::string RollCall::name_of(std::size_t rank) const { return fmt::format("rank {} on {}", rank, ranks_[rank].host); }

void RollCall::answer_at_work(const std::string& phase) { serve({false, phase}); }

// Best effort: what cannot be sent or received is silence.
void RollCall::serve(const Answer& mine) {
  for (;;) {
    int found = 0;
    MPI_Status status{};
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &found, &status) != MPI_SUCCESS || found == 0) break;
    std::array<char, kMaxText> buffer{};
    int length = 0;
    if (MPI_Recv(buffer.data(), kMaxLength, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, comm_, &status) !=
            MPI_SUCCESS ||
        MPI_Get_count(&status, MPI_CHAR, &length) != MPI_SUCCESS) {
      break;
    }
    const std::string text(buffer.data(), static_cast<std::size_t>(length));
    if (status.MPI_TAG == kAnswer) {
      take(status.MPI_SOURCE, text);
    } else {
      send(status.MPI_SOURCE, kAnswer, fmt::format("{} {} {}", text, mine.waits ? 'w' : 'b', mine.where));
    }
  }
  std::erase_if(sent_, [](Sent& sent) {
    int done = 0;
    return MPI_Test(&sent.request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0;
  });
}

// "ROUND w|b WHERE"
void RollCall::take(int from, const std::string& text) {
  std::int64_t round = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), round);
  const auto rest = static_cast<std::size_t>(stop - text.data());
  if (error != std::errc() || round != round_ || rest + 3 > text.size()) return;
  answers_[static_cast<std::size_t>(from)] = Answer{text[rest + 1] == 'w', text.substr(rest + 3)};
}

void RollCall::send(int to, int tag, std::string text) {
  Sent& sent = sent_.emplace_back();
  sent.text = std::move(text);
  sent.text.resize(std::min(sent.text.size(), kMaxText));
  const auto length = static_cast<int>(sent.text.size());
  if (MPI_Isend(sent.text.data(), length, MPI_CHAR, to, tag, comm_, &sent.request) != MPI_SUCCESS) sent_.pop_back();
}

}  // namespace hebm::comm
