#include "storage/hdf5_detail.h"

namespace hebm::storage::detail {

namespace {

// Called by libhdf5 (C). Upward starts at the innermost entry: keep that one and stop.
herr_t keep_first(unsigned, const H5E_error2_t* error, void* data) noexcept {
  *static_cast<const char**>(data) = error->desc;
  return 1;
}

hid_t predefined(H5Type type) {
  switch (type) {
    case H5Type::kU8: return H5T_STD_U8LE;
    case H5Type::kI32: return H5T_STD_I32LE;
    case H5Type::kI64: return H5T_STD_I64LE;
    case H5Type::kU64: return H5T_STD_U64LE;
    case H5Type::kF64: return H5T_IEEE_F64LE;
    case H5Type::kF16:  // made from this one
    case H5Type::kF32: return H5T_IEEE_F32LE;
  }
  fail(ExitCode::kRuntime, "H5Type {} is unknown", static_cast<int>(type));
}

}  // namespace

void prepare_thread() {
  // No clean-up at exit: our files are closed by their owners, and after a failed close (full disk)
  // libhdf5 1.10.8 keeps a dangling file that it would touch then: a segmentation fault after the
  // error was handled. It must be the first call; where a program that we are linked into used the
  // library before us, it keeps its clean-up, and that is its choice.
  [[maybe_unused]] static const bool no_exit_handler = H5dont_atexit() >= 0;
  static const bool no_plugins = H5PLset_loading_state(0) >= 0;
  thread_local const bool quiet = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  check(no_plugins && quiet, ExitCode::kEnvironment, "libhdf5 could not be set up: {}", library_message());
}

std::string library_message() {
  const char* message = nullptr;
  if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &message) < 0 || message == nullptr) return "no reason given";
  return message;
}

Handle make_type(H5Type type) {
  Handle id = own(H5Tcopy(predefined(type)), ExitCode::kRuntime, "HDF5 type");
  if (type == H5Type::kF16) {
    // IEEE half: sign 15, exponent 10-14 (bias 15), mantissa 0-9. Fields first: the size has them.
    const bool ok = H5Tset_fields(id.get(), 15, 10, 5, 0, 10) >= 0 && H5Tset_size(id.get(), 2) >= 0 &&
                    H5Tset_ebias(id.get(), 15) >= 0;
    check_h5(ok, ExitCode::kRuntime, "HDF5 type of IEEE half");
  }
  return id;
}

}  // namespace hebm::storage::detail
