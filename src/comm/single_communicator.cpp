#include "comm/single_communicator.h"
#include "comm/end_process.h"

namespace hebm::comm {
namespace {

class Done final : public Pending {
 public:
  void wait() override {}
};

}  // namespace

std::unique_ptr<Pending> SingleCommunicator::start_sum(std::span<float>, std::string_view) {
  return std::make_unique<Done>();
}

std::unique_ptr<Pending> SingleCommunicator::start_sum(std::span<std::int64_t>, std::string_view) {
  return std::make_unique<Done>();
}

void SingleCommunicator::abort(int exit_code) {
  record_abort(0, exit_code);
  leave_now(exit_code);
}

}  // namespace hebm::comm
