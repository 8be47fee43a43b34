// Memory of a size that a file claims: asked for within what the machine has, or refused by name.
#pragma once
#include <cstdint>
#include <new>
#include <string>
#include <vector>
#include "base/error.h"

namespace hebm::storage {

// Error(kCorrupt) where `bytes` are more than a quarter of the machine's memory. A sparse file
// makes any claim true in size, and costs nothing.
void check_memory(std::uint64_t bytes, const std::string& what);

// `count` zeros; Error(kCorrupt) where they do not fit.
template <class T> std::vector<T> allocated(std::uint64_t count, const std::string& what) {
  check_memory(count > ~std::uint64_t{0} / sizeof(T) ? ~std::uint64_t{0} : count * sizeof(T), what);
  try {
    return std::vector<T>(count);
  } catch (const std::bad_alloc&) {
    fail(ExitCode::kCorrupt, "{}: claims {} values of {} bytes: there is no memory for them", what, count, sizeof(T));
  }
}

}  // namespace hebm::storage
