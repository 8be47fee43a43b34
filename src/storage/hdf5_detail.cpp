#include "storage/hdf5_detail.h"
#include <fmt/ranges.h>
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <set>
#include "base/text.h"
#include "storage/printable.h"

namespace hebm::storage::detail {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read without conversion");

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

struct Link {
  std::string name;
  H5L_type_t type;
};

struct Links {
  std::vector<Link> found;
  std::size_t room = 0;
  bool too_many = false, bad_name = false;
};

// Called by libhdf5 (C): no exception may leave it.
herr_t collect_link(hid_t, const char* name, const H5L_info_t* info, void* data) noexcept {
  auto& links = *static_cast<Links*>(data);
  if (links.found.size() >= links.room) {
    links.too_many = true;
    return 1;
  }
  if (::strnlen(name, kMaxName + 1) > kMaxName) {
    links.bad_name = true;
    return 1;
  }
  try {
    links.found.push_back({name, info->type});
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return 0;
}

std::string_view name_of_link(H5L_type_t type) {
  return type == H5L_TYPE_SOFT       ? "a soft link"
         : type == H5L_TYPE_EXTERNAL ? "a link to another file"
                                     : "an unknown link";
}

std::string_view name_of_layout(H5D_layout_t layout) {
  return layout == H5D_CHUNKED   ? "chunked"
         : layout == H5D_COMPACT ? "compact"
         : layout == H5D_VIRTUAL ? "virtual"
                                 : "unknown";
}

class Scanner {
 public:
  Scanner(hid_t file, const fs::path& path, std::uint64_t file_size)
      : file_(file), path_(path), file_size_(file_size) {}

  std::map<std::string, H5Info> run() {
    H5O_info_t root{};
    check_h5(H5Oget_info2(file_, &root, H5O_INFO_BASIC) >= 0, ExitCode::kCorrupt, "{}: root group", path_.string());
    addresses_.insert(root.addr);
    groups_.push_back("");
    while (!groups_.empty()) {
      const std::string group = std::move(groups_.back());
      groups_.pop_back();
      scan_group(group);
    }
    return std::move(datasets_);
  }
 private:
  template <class... Args>
  [[noreturn]] void refuse(const std::string& name, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::kCorrupt, "{}: \"{}\" {}; refused: only hard-linked, contiguous, unfiltered datasets are read",
        path_.string(), printable(name), fmt::format(format, std::forward<Args>(args)...));
  }

  void scan_group(const std::string& group) {
    const Handle id = own(H5Gopen2(file_, group.empty() ? "/" : group.c_str(), H5P_DEFAULT), ExitCode::kCorrupt,
        fmt::format("{}: group \"{}\"", path_.string(), printable(group)));
    Links links;
    links.room = kMaxObjects - addresses_.size();
    const herr_t status = H5Literate(id.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_link, &links);
    if (links.too_many) refuse(group, "brings the file to more than {} objects", kMaxObjects);
    if (links.bad_name) refuse(group, "holds a name of more than {} bytes", kMaxName);
    check_h5(status >= 0, ExitCode::kCorrupt, "{}: links of group \"{}\"", path_.string(), printable(group));
    for (const Link& link : links.found) scan_link(id.get(), group, link);
  }

  void scan_link(hid_t group_id, const std::string& group, const Link& link) {
    const std::string name = group.empty() ? link.name : group + "/" + link.name;
    if (link.name.find('/') != std::string::npos || !is_good_name(name)) refuse(name, "is not a name of ours");
    if (link.type != H5L_TYPE_HARD) refuse(name, "is {}", name_of_link(link.type));
    H5O_info_t info{};
    check_h5(H5Oget_info_by_name2(group_id, link.name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0,
        ExitCode::kCorrupt, "{}: object \"{}\"", path_.string(), printable(name));
    // Also ends cycles of groups.
    if (!addresses_.insert(info.addr).second) refuse(name, "is a second name of another object");
    if (addresses_.size() > kMaxObjects) refuse(name, "brings the file to more than {} objects", kMaxObjects);
    if (info.type == H5O_TYPE_GROUP) {
      groups_.push_back(name);
    } else if (info.type == H5O_TYPE_DATASET) {
      datasets_.emplace(name, check_dataset(name));
    } else {
      refuse(name, "is neither a group nor a dataset");
    }
  }

  H5Info check_dataset(const std::string& name) {
    const std::string what = fmt::format("{}: dataset \"{}\"", path_.string(), printable(name));
    const Handle dataset = own(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), ExitCode::kCorrupt, what);
    const Handle list = own(H5Dget_create_plist(dataset.get()), ExitCode::kCorrupt, what);
    const H5D_layout_t layout = H5Pget_layout(list.get());
    if (layout != H5D_CONTIGUOUS) refuse(name, "has a {} layout", name_of_layout(layout));
    if (H5Pget_external_count(list.get()) != 0) refuse(name, "keeps its data in another file");
    if (H5Pget_nfilters(list.get()) != 0) refuse(name, "has filters");
    const Handle type = own(H5Dget_type(dataset.get()), ExitCode::kCorrupt, what);
    const std::optional<H5Type> known = identify_type(type.get());
    if (!known) refuse(name, "has a type other than little-endian u8, i32, i64, u64, f16, f32 or f64");
    H5Info info{*known, shape_of(name, what, dataset.get()), 0, 0};
    const auto bytes = bytes_of(info.shape, info.type);
    if (!bytes || *bytes > file_size_) {
      refuse(name, "claims shape [{}] of {}, more than the {} bytes of the file", fmt::join(info.shape, ", "),
          name_of(info.type), file_size_);
    }
    info.bytes = *bytes;
    if (info.bytes > 0) info.file_offset = check_extent(name, dataset.get(), info.bytes);
    return info;
  }

  std::vector<std::uint64_t> shape_of(const std::string& name, const std::string& what, hid_t dataset) const {
    const Handle space = own(H5Dget_space(dataset), ExitCode::kCorrupt, what);
    const H5S_class_t kind = H5Sget_simple_extent_type(space.get());
    if (kind == H5S_SCALAR) return {};
    const int rank = H5Sget_simple_extent_ndims(space.get());
    if (kind != H5S_SIMPLE || rank < 1 || rank > kMaxRank) refuse(name, "has no shape of 0 to {} dimensions", kMaxRank);
    hsize_t dims[H5S_MAX_RANK] = {};
    check_h5(H5Sget_simple_extent_dims(space.get(), dims, nullptr) == rank, ExitCode::kCorrupt, "{}", what);
    return {dims, dims + rank};
  }

  std::uint64_t check_extent(const std::string& name, hid_t dataset, std::uint64_t bytes) const {
    const haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF) refuse(name, "has no data stored");
    const std::uint64_t stored = H5Dget_storage_size(dataset);
    if (stored != bytes) refuse(name, "stores {} bytes, expected {}", stored, bytes);
    if (offset > file_size_ || bytes > file_size_ - offset) {
      refuse(name, "ends at byte {} of a file of {} bytes", offset + bytes, file_size_);
    }
    return offset;
  }

  hid_t file_;
  const fs::path& path_;
  std::uint64_t file_size_;
  std::set<haddr_t> addresses_;
  std::vector<std::string> groups_;  // still to be walked
  std::map<std::string, H5Info> datasets_;
};

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

std::optional<H5Type> identify_type(hid_t file_type) {
  const H5T_class_t kind = H5Tget_class(file_type);
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) return {};
  for (const Choice<H5Type>& choice : choices_of(H5Type{})) {
    if (H5Tequal(file_type, make_type(choice.value).get()) > 0) return choice.value;
  }
  return {};
}

std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape, H5Type type) {
  std::uint64_t product = size_of(type);
  for (const std::uint64_t dim : shape) {
    if (__builtin_mul_overflow(product, std::max<std::uint64_t>(dim, 1), &product) || product >> 63 != 0) return {};
  }
  return std::ranges::count(shape, 0u) > 0 ? 0 : product;
}

bool is_good_name(const std::string& name) {
  if (name.empty() || name.size() > kMaxName) return false;
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; })) return false;
  return std::ranges::none_of(
      split(name, '/'), [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

std::map<std::string, H5Info> scan_file(hid_t file, const fs::path& path, std::uint64_t file_size) {
  return Scanner(file, path, file_size).run();
}

}  // namespace hebm::storage::detail
