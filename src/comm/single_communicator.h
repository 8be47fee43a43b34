// A world of one process: every operation is the identity and none of them throws.
#pragma once
#include "comm/communicator.h"

namespace hebm::comm {

class SingleCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string_view kind() const override { return "single"; }
  int node() const override { return 0; }
  void all_reduce(std::span<float>, Op) override {}
  void all_reduce(std::span<double>, Op) override {}
  void all_reduce(std::span<std::int64_t>, Op) override {}
  std::unique_ptr<Pending> start_sum(std::span<float> values, std::string_view name) override;
  std::unique_ptr<Pending> start_sum(std::span<std::int64_t> values, std::string_view name) override;
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> all_gather(std::string_view mine) override { return {std::string(mine)}; }
  void barrier() override {}
  [[noreturn]] void abort(int exit_code) override;
};

}  // namespace hebm::comm
