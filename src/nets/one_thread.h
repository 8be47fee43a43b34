// Small trainings whose bits must not depend on the threads of a rank.
#pragma once
#include <ATen/Parallel.h>

namespace hebm::nets {

// While it lives, products run on one thread: how many share one changes its last bits.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
 private:
  int before_;
};

}  // namespace hebm::nets
