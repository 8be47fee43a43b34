#include "data/new_file.h"
#include <system_error>
#include "base/error.h"
#include "base/status.h"
#include "storage/files.h"

namespace hebm::data {

void write_new_file(const std::filesystem::path& target, std::uint64_t bytes,
    const std::function<void(const std::filesystem::path& temporary)>& write) {
  if (target.has_parent_path()) storage::create_folders(target.parent_path());
  const std::uint64_t free = storage::free_bytes(target);
  check(free >= bytes, ExitCode::kRuntime, "{}: expected {} of free space, got {}: make room or choose another folder",
      target.string(), format_bytes(static_cast<double>(bytes)), format_bytes(static_cast<double>(free)));
  const std::filesystem::path temporary = storage::temporary_name(target);
  try {
    write(temporary);
    storage::rename_new_durable(temporary, target);
  } catch (...) {
    std::error_code ignored;  // a leftover under a temporary name is never read, and the first error is on its way
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

}  // namespace hebm::data
