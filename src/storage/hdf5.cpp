#include "storage/hdf5.h"
#include <fmt/ranges.h>
#include "storage/files.h"
#include "storage/hdf5_detail.h"

namespace hebm::storage {

using detail::check_h5;
using detail::Handle;
using detail::own;

namespace {

constexpr std::size_t kMaxString = std::size_t{1} << 20;

Handle access_list(H5F_libver_t newest) {
  Handle list = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, ExitCode::kRuntime, "HDF5 access list");
  // Files are immutable once published, and locks fail on some network file systems. We write the
  // 1.8 format: it has checksums on its metadata and attributes of more than 64 KiB, and every
  // reader of today knows it.
  const bool ok = H5Pset_file_locking(list.get(), false, true) >= 0 &&
                  H5Pset_fclose_degree(list.get(), H5F_CLOSE_STRONG) >= 0 &&
                  H5Pset_libver_bounds(list.get(), H5F_LIBVER_V18, newest) >= 0;
  check_h5(ok, ExitCode::kRuntime, "HDF5 access list");
  return list;
}

Handle contiguous_list() {
  Handle list = own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, ExitCode::kRuntime, "HDF5 creation list");
  // Early: the place in the file is known from the start (info().file_offset); every row is
  // written, so no filling.
  const bool ok = H5Pset_layout(list.get(), H5D_CONTIGUOUS) >= 0 &&
                  H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY) >= 0 &&
                  H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER) >= 0;
  check_h5(ok, ExitCode::kRuntime, "HDF5 creation list");
  // Files of equal content have equal bytes: no times in the headers.
  check_h5(H5Pset_obj_track_times(list.get(), false) >= 0, ExitCode::kRuntime, "HDF5 creation list");
  return list;
}

Handle make_space(const std::vector<std::uint64_t>& shape, const std::string& what) {
  if (shape.empty()) return own(H5Screate(H5S_SCALAR), H5Sclose, ExitCode::kRuntime, what);
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  return own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose, ExitCode::kRuntime, what);
}

// File and memory space of rows [first, first + count).
struct Selection {
  Handle file, memory;
};

Selection select_rows(const H5Info& info, std::uint64_t first, std::uint64_t count, const std::string& what) {
  std::vector<std::uint64_t> rows = info.shape;
  if (!rows.empty()) rows[0] = count;
  Selection selection{make_space(info.shape, what), make_space(rows, what)};
  if (rows.empty()) return selection;
  std::vector<hsize_t> start(rows.size(), 0), extent(rows.begin(), rows.end());
  start[0] = first;
  check_h5(
      H5Sselect_hyperslab(selection.file.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr) >= 0,
      ExitCode::kRuntime, "{}", what);
  return selection;
}

// What a caller asks for against what the file has; `code` is kCorrupt where the file is the one to
// blame.
void check_rows(const std::string& what, const H5Info& info, H5Type type, std::uint64_t first, std::uint64_t count,
    std::size_t buffer, ExitCode code) {
  check(type == info.type, code, "{}: holds {}, expected {}", what, name_of(info.type), name_of(type));
  const std::uint64_t rows = info.shape.empty() ? 1 : info.shape[0];
  check(first <= rows && count <= rows - first, code, "{}: rows {} to {} of {} were asked for", what, first,
      first + count, rows);
  const std::uint64_t expected = rows == 0 ? 0 : info.bytes / rows * count;
  check(buffer == expected, ExitCode::kRuntime, "{}: {} rows take {} bytes, the buffer has {}", what, count, expected,
      buffer);
}

}  // namespace

struct H5File::Impl {
  fs::path path;
  bool writable = false;
  std::unique_ptr<ReadOnlyFile> own_view;  // of the same file: its size; and, for fsync, its write-back errors
  Handle file;
  std::map<std::string, H5Info> datasets;

  std::string what(std::string_view kind, const std::string& name) const {
    return fmt::format("{}: {} \"{}\"", path.string(), kind, name);
  }
  hid_t id() const {
    detail::prepare_thread();
    check(file.valid(), ExitCode::kRuntime, "{}: is closed", path.string());
    return file.get();
  }
  hid_t id_for_writing() const {
    check(writable, ExitCode::kRuntime, "{}: is open for reading only", path.string());
    return id();
  }
};

H5File::H5File(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
H5File::H5File(H5File&&) noexcept = default;
H5File& H5File::operator=(H5File&&) noexcept = default;
H5File::~H5File() = default;

H5File H5File::open(const fs::path& path) {
  detail::prepare_thread();
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->own_view = std::make_unique<ReadOnlyFile>(path);
  impl->file = own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access_list(H5F_LIBVER_LATEST).get()), H5Fclose,
      ExitCode::kCorrupt, fmt::format("{}: is not a whole HDF5 file", path.string()));
  impl->datasets = detail::scan_file(impl->file.get(), path, impl->own_view->size());
  return H5File(std::move(impl));
}

H5File H5File::create(const fs::path& path) {
  detail::prepare_thread();
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->writable = true;
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, ExitCode::kRuntime, "HDF5 file creation list");
  check_h5(H5Pset_obj_track_times(creation.get(), false) >= 0, ExitCode::kRuntime, "HDF5 file creation list");
  impl->file = own(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access_list(H5F_LIBVER_V18).get()), H5Fclose,
      ExitCode::kRuntime, fmt::format("{}: create failed", path.string()));
  impl->own_view = std::make_unique<ReadOnlyFile>(path);
  return H5File(std::move(impl));
}

const fs::path& H5File::path() const { return impl_->path; }

bool H5File::has(const std::string& name) const { return impl_->datasets.contains(name); }

std::vector<std::string> H5File::names() const {
  std::vector<std::string> names;
  names.reserve(impl_->datasets.size());
  for (const auto& [name, info] : impl_->datasets) names.push_back(name);
  return names;
}

H5Info H5File::info(const std::string& name) const {
  const auto found = impl_->datasets.find(name);
  check(found != impl_->datasets.end(), ExitCode::kCorrupt, "{}: has no dataset \"{}\"; it has: {}",
      impl_->path.string(), name, fmt::join(names(), ", "));
  return found->second;
}

void H5File::read_rows(
    const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const {
  const H5Info shape = info(name);
  const std::string what = impl_->what("dataset", name);
  check_rows(what, shape, type, first, count, out.size(), ExitCode::kCorrupt);
  if (out.empty()) return;
  const Handle dataset = own(H5Dopen2(impl_->id(), name.c_str(), H5P_DEFAULT), H5Dclose, ExitCode::kCorrupt, what);
  const Selection rows = select_rows(shape, first, count, what);
  check_h5(H5Dread(dataset.get(), detail::make_type(type).get(), rows.memory.get(), rows.file.get(), H5P_DEFAULT,
               out.data()) >= 0,
      ExitCode::kCorrupt, "{}: reading failed", what);
}

void H5File::create_dataset(const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape) {
  const std::string what = impl_->what("dataset", name);
  const hid_t file = impl_->id_for_writing();
  check(detail::is_good_name(name), ExitCode::kRuntime, "{}: is not a good name", what);
  check(!has(name), ExitCode::kRuntime, "{}: exists already", what);
  const auto bytes = detail::bytes_of(shape, type);
  check(shape.size() <= detail::kMaxRank && bytes, ExitCode::kRuntime, "{}: shape [{}] is out of range", what,
      fmt::join(shape, ", "));
  const Handle links = own(H5Pcreate(H5P_LINK_CREATE), H5Pclose, ExitCode::kRuntime, what);
  check_h5(
      H5Pset_create_intermediate_group(links.get(), 1) >= 0 && H5Pset_char_encoding(links.get(), H5T_CSET_UTF8) >= 0,
      ExitCode::kRuntime, "{}", what);
  const Handle dataset = own(H5Dcreate2(file, name.c_str(), detail::make_type(type).get(),
                                 make_space(shape, what).get(), links.get(), contiguous_list().get(), H5P_DEFAULT),
      H5Dclose, ExitCode::kRuntime, what);
  const haddr_t offset = *bytes == 0 ? 0 : H5Dget_offset(dataset.get());
  check_h5(offset != HADDR_UNDEF, ExitCode::kRuntime, "{}: has no place in the file", what);
  impl_->datasets.emplace(name, H5Info{type, shape, *bytes, offset});
}

void H5File::write_rows(
    const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<const std::byte> in) {
  const hid_t file = impl_->id_for_writing();
  const H5Info shape = info(name);
  const std::string what = impl_->what("dataset", name);
  check_rows(what, shape, type, first, count, in.size(), ExitCode::kRuntime);
  if (in.empty()) return;
  const Handle dataset = own(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, ExitCode::kRuntime, what);
  const Selection rows = select_rows(shape, first, count, what);
  check_h5(H5Dwrite(dataset.get(), detail::make_type(type).get(), rows.memory.get(), rows.file.get(), H5P_DEFAULT,
               in.data()) >= 0,
      ExitCode::kRuntime, "{}: writing failed", what);
}

void H5File::write(
    const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape, std::span<const std::byte> in) {
  create_dataset(name, type, shape);
  write_rows(name, type, 0, shape.empty() ? 1 : shape[0], in);
}

void H5File::close_durable() {
  const hid_t file = impl_->id_for_writing();
  const std::string what = fmt::format("{}: closing failed", impl_->path.string());
  check_h5(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0, ExitCode::kRuntime, "{}", what);
  check_h5(impl_->file.close(), ExitCode::kRuntime, "{}", what);
  impl_->own_view->sync();
}

// --- attributes of the root group ---

namespace {

void put_attribute(
    hid_t file, const std::string& what, const std::string& name, const Handle& type, const void* value) {
  if (H5Aexists(file, name.c_str()) > 0) {
    check_h5(H5Adelete(file, name.c_str()) >= 0, ExitCode::kRuntime, "{}", what);
  }
  const Handle space = make_space({}, what);
  Handle attribute = own(H5Acreate2(file, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
      ExitCode::kRuntime, what);
  check_h5(H5Awrite(attribute.get(), type.get(), value) >= 0 && attribute.close(), ExitCode::kRuntime, "{}", what);
}

struct Attribute {
  Handle id, type;
};

Attribute open_attribute(hid_t file, const std::string& what, const std::string& name) {
  check(H5Aexists(file, name.c_str()) > 0, ExitCode::kCorrupt, "{}: is missing", what);
  Handle id = own(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose, ExitCode::kCorrupt, what);
  const Handle space = own(H5Aget_space(id.get()), H5Sclose, ExitCode::kCorrupt, what);
  check(H5Sget_simple_extent_type(space.get()) == H5S_SCALAR, ExitCode::kCorrupt, "{}: is not a single value", what);
  Handle type = own(H5Aget_type(id.get()), H5Tclose, ExitCode::kCorrupt, what);
  return {std::move(id), std::move(type)};
}

}  // namespace

bool H5File::has_attribute(const std::string& name) const { return H5Aexists(impl_->id(), name.c_str()) > 0; }

void H5File::set_attribute(const std::string& name, const std::string& value) {
  const std::string what = impl_->what("attribute", name);
  const hid_t file = impl_->id_for_writing();
  check(value.size() <= kMaxString, ExitCode::kRuntime, "{}: {} bytes, expected at most {}", what, value.size(),
      kMaxString);
  check(value.find('\0') == std::string::npos, ExitCode::kRuntime, "{}: the text has a zero byte", what);
  const Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose, ExitCode::kRuntime, what);
  check_h5(H5Tset_size(type.get(), value.size() + 1) >= 0 && H5Tset_cset(type.get(), H5T_CSET_UTF8) >= 0,
      ExitCode::kRuntime, "{}", what);
  put_attribute(file, what, name, type, value.c_str());
}

void H5File::set_attribute(const std::string& name, std::int64_t value) {
  put_attribute(impl_->id_for_writing(), impl_->what("attribute", name), name, detail::make_type(H5Type::kI64), &value);
}

std::string H5File::string_attribute(const std::string& name) const {
  const std::string what = impl_->what("attribute", name);
  const Attribute attribute = open_attribute(impl_->id(), what, name);
  check(H5Tget_class(attribute.type.get()) == H5T_STRING && H5Tis_variable_str(attribute.type.get()) == 0,
      ExitCode::kCorrupt, "{}: is not a text of fixed length", what);
  const std::size_t size = H5Tget_size(attribute.type.get());
  check(size <= kMaxString + 1, ExitCode::kCorrupt, "{}: {} bytes, expected at most {}", what, size, kMaxString);
  std::string value(size, '\0');
  check_h5(H5Aread(attribute.id.get(), attribute.type.get(), value.data()) >= 0, ExitCode::kCorrupt, "{}", what);
  return value.substr(0, value.find('\0'));  // ends at a zero byte or fills the field
}

std::int64_t H5File::int_attribute(const std::string& name) const {
  const std::string what = impl_->what("attribute", name);
  const Attribute attribute = open_attribute(impl_->id(), what, name);
  const Handle expected = detail::make_type(H5Type::kI64);
  check(H5Tequal(attribute.type.get(), expected.get()) > 0, ExitCode::kCorrupt, "{}: is not a 64-bit integer", what);
  std::int64_t value = 0;
  check_h5(H5Aread(attribute.id.get(), expected.get(), &value) >= 0, ExitCode::kCorrupt, "{}", what);
  return value;
}

}  // namespace hebm::storage
