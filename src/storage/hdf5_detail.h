// Inside of hdf5.cpp: handles and types of libhdf5, which writes. Includes hdf5.h, as none else.
#pragma once
#include <hdf5.h>
#include <string>
#include "base/error.h"
#include "storage/hdf5.h"

namespace hebm::storage::detail {

// Before the first call on a thread: libhdf5 prints nothing (its error stack is a thread's own),
// loads no plug-ins and does nothing at exit.
void prepare_thread();
// The innermost message of this thread's last failed call, e.g. "file signature not found".
std::string library_message();

// Throws Error(code) with the library's message unless ok.
template <class... Args> void check_h5(bool ok, ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(code, "{}: {}", fmt::format(format, std::forward<Args>(args)...), library_message());
}
// The same for a new handle.
inline Handle own(hid_t id, ExitCode code, const std::string& what) {
  check_h5(id >= 0, code, "{}", what);
  return Handle(id);
}

Handle make_type(H5Type type);  // little-endian, as in the file

}  // namespace hebm::storage::detail
