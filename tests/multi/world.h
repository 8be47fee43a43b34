// The MPI world that the tests of one process share.
#pragma once
#include <memory>
#include "comm/communicator.h"

namespace hebm::comm {

Communicator& world();
// Made by the test program: may set what options do not offer (the length of a piece). Null where
// this machine cannot have that kind.
std::unique_ptr<Communicator> make_world(const CommOptions& options);

}  // namespace hebm::comm
