#include "storage/memory.h"
#include <unistd.h>

namespace hebm::storage {

void check_memory(std::uint64_t bytes, const std::string& what) {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return;  // the system does not tell
  const std::uint64_t most = static_cast<std::uint64_t>(pages) / 4 * static_cast<std::uint64_t>(page_bytes);
  check(bytes <= most, ExitCode::kCorrupt,
      "{}: claims {} bytes, more than a quarter of this machine's memory ({}): the file is damaged, or needs a machine "
      "with more memory",
      what, bytes, most);
}

}  // namespace hebm::storage
