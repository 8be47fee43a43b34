#include "data/new_file.h"
#include <system_error>
#include "base/error.h"
#include "base/status.h"
#include "storage/files.h"

namespace hebm::data {

ScratchFile::ScratchFile(const std::filesystem::path& target)
    : target_(target), path_(storage::temporary_name(target)) {
  if (target.has_parent_path()) storage::create_folders(target.parent_path());
}

ScratchFile::~ScratchFile() {
  std::error_code ignored;  // a leftover under a temporary name is never read, and the first error is on its way
  if (!published_) std::filesystem::remove(path_, ignored);
}

void ScratchFile::publish() {
  storage::rename_new_durable(path_, target_);
  published_ = true;
}

void write_new_file(const std::filesystem::path& target, std::uint64_t bytes,
    const std::function<void(const std::filesystem::path& temporary)>& write) {
  ScratchFile scratch(target);
  const std::uint64_t free = storage::free_bytes(target);
  check(free >= bytes, ExitCode::kRuntime, "{}: expected {} of free space, got {}: make room or choose another folder",
      target.string(), format_bytes(static_cast<double>(bytes)), format_bytes(static_cast<double>(free)));
  write(scratch.path());
  scratch.publish();
}

}  // namespace hebm::data
