// Ranks as threads of one process, for what must hold on several ranks without a launcher.
#pragma once
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include "comm/communicator.h"

namespace hebm::test {

// Where they meet. A rank that has left fails those that wait for it, so that no test hangs.
class Meeting {
 public:
  explicit Meeting(int size) : texts_(static_cast<std::size_t>(size)) {}
  std::vector<std::string> exchange(int rank, std::string_view text) {
    std::unique_lock lock(mutex_);
    texts_[static_cast<std::size_t>(rank)] = text;
    const std::int64_t round = round_;
    if (++arrived_ == std::ssize(texts_)) {
      all_ = texts_;
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round || somebody_left_; });
    if (round_ == round) throw std::runtime_error("waits for a rank that has left");
    return all_;
  }
  void leave() {
    const std::scoped_lock lock(mutex_);
    somebody_left_ = true;
    changed_.notify_all();
  }
  int size() const { return static_cast<int>(texts_.size()); }
 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> texts_, all_;
  std::int64_t arrived_ = 0, round_ = 0;
  bool somebody_left_ = false;
};

class ThreadCommunicator final : public comm::Communicator {
 public:
  ThreadCommunicator(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return meeting_.size(); }
  comm::Kind kind() const override { return comm::Kind::kMpi; }
  int node() const override { return 0; }
  void all_reduce(comm::Values values, comm::Op op) override {
    if (values.type == 'f') reduce<float>(values, op);
    if (values.type == 'd') reduce<double>(values, op);
    if (values.type == 'i') reduce<std::int64_t>(values, op);
  }
  std::unique_ptr<comm::Pending> start_sum(comm::Values values, std::string_view) override {
    struct Done final : comm::Pending {
      void wait() override {}
    };
    all_reduce(values, comm::Op::kSum);
    return std::make_unique<Done>();
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    const auto all = all_gather({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    std::memcpy(bytes.data(), all.at(static_cast<std::size_t>(root)).data(), bytes.size());
  }
  std::vector<std::string> all_gather(std::string_view mine) override { return meeting_.exchange(rank_, mine); }
  void barrier() override { all_gather(""); }
  [[noreturn]] void abort(int) override { std::terminate(); }
 private:
  template <class T> void reduce(comm::Values values, comm::Op op) {
    const auto count = static_cast<std::size_t>(values.count);
    const auto all = all_gather({reinterpret_cast<const char*>(values.data), count * sizeof(T)});
    T* const out = reinterpret_cast<T*>(values.data);
    for (std::size_t r = 0; r < all.size(); ++r) {
      for (std::size_t i = 0; i < count; ++i) {
        T value;
        std::memcpy(&value, all[r].data() + i * sizeof(T), sizeof(T));
        const T sum = op == comm::Op::kSum   ? out[i] + value
                      : op == comm::Op::kMin ? std::min(out[i], value)
                                             : std::max(out[i], value);
        out[i] = r == 0 ? value : sum;
      }
    }
  }
  Meeting& meeting_;
  int rank_;
};

// Runs `body` on every rank and returns what each threw, "" where it threw nothing.
inline std::vector<std::string> on_ranks(int size, const std::function<void(comm::Communicator&)>& body) {
  Meeting meeting(size);
  std::vector<std::string> thrown(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCommunicator comm(meeting, rank);
      try {
        body(comm);
      } catch (const std::exception& error) {
        thrown[static_cast<std::size_t>(rank)] = error.what();
      }
      meeting.leave();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace hebm::test
