// Inside of hdf5.cpp: handles, types, the check of a foreign file. Includes hdf5.h, as none else.
#pragma once
#include <hdf5.h>
#include <map>
#include <optional>
#include <string>
#include "base/error.h"
#include "storage/hdf5.h"

namespace hebm::storage::detail {

inline constexpr int kMaxRank = 8;
inline constexpr std::size_t kMaxName = 1024;
inline constexpr std::size_t kMaxObjects = 100000;

// Before the first call on a thread: libhdf5 prints nothing (its error stack is a thread's own),
// loads no plug-ins and does nothing at exit.
void prepare_thread();
// The innermost message of this thread's last failed call, e.g. "file signature not found".
std::string library_message();

// Throws Error(code) with the library's message unless ok; Error(kRuntime) where a call of the
// system failed, which says nothing of what the file holds.
template <class... Args> void check_h5(bool ok, ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (ok) return;
  const std::string why = library_message();
  const bool of_system = why.find("errno = ") != std::string::npos;
  fail(of_system ? ExitCode::kRuntime : code, "{}: {}", fmt::format(format, std::forward<Args>(args)...), why);
}
// The same for a new handle.
inline Handle own(hid_t id, ExitCode code, const std::string& what) {
  check_h5(id >= 0, code, "{}", what);
  return Handle(id);
}

Handle make_type(H5Type type);                         // little-endian, as in the file
std::optional<H5Type> identify_type(hid_t file_type);  // none: not a type of ours

// Bytes of `shape`; none where a product of its non-zero dimensions passes 2^63.
std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape, H5Type type);
// Printable ASCII, not too long, no part between '/' is empty, "." or "..".
bool is_good_name(const std::string& name);

// Walks all links of an open file, following hard ones only; every dataset is checked (hdf5.h)
// before anything of its size is allocated. Error(kCorrupt) names what is refused.
std::map<std::string, H5Info> scan_file(hid_t file, const fs::path& path, std::uint64_t file_size);

}  // namespace hebm::storage::detail
