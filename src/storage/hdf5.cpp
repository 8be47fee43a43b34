#include "storage/hdf5.h"
#include <fmt/ranges.h>
#include "storage/files.h"
#include "storage/hdf5_detail.h"
#include "storage/hdf5_scan.h"

namespace hebm::storage {

using detail::check_h5;
using detail::Handle;
using detail::own;

namespace {

Handle property_list(hid_t of) { return own(H5Pcreate(of), ExitCode::kRuntime, "HDF5 property list"); }

void check_properties(bool ok) { check_h5(ok, ExitCode::kRuntime, "HDF5 property list"); }

Handle access_list() {
  Handle list = property_list(H5P_FILE_ACCESS);
  // Files are immutable once published, and locks fail on some network file systems. We write the
  // 1.8 format: it has checksums on its metadata and attributes of more than 64 KiB, and every
  // reader of today knows it.
  check_properties(H5Pset_file_locking(list.get(), false, true) >= 0 &&
                   H5Pset_fclose_degree(list.get(), H5F_CLOSE_STRONG) >= 0 &&
                   H5Pset_libver_bounds(list.get(), H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0);
  return list;
}

Handle contiguous_list() {
  Handle list = property_list(H5P_DATASET_CREATE);
  // Early: the place in the file is known from the start (info().file_offset); every row is
  // written, so no filling. Files of equal content have equal bytes: no times in the headers.
  check_properties(
      H5Pset_layout(list.get(), H5D_CONTIGUOUS) >= 0 && H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY) >= 0 &&
      H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER) >= 0 && H5Pset_obj_track_times(list.get(), false) >= 0);
  return list;
}

Handle make_space(const std::vector<std::uint64_t>& shape, const std::string& what) {
  if (shape.empty()) return own(H5Screate(H5S_SCALAR), ExitCode::kRuntime, what);
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  return own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), ExitCode::kRuntime, what);
}

}  // namespace

detail::Handle::~Handle() {
  if (id_ >= 0) H5Idec_ref(id_);  // nothing can be done about a failure here; close() is for those that count
}

bool detail::Handle::close() { return H5Idec_ref(std::exchange(id_, -1)) >= 0; }

std::string H5File::label(std::string_view kind, const std::string& name) const {
  return fmt::format("{}: {} \"{}\"", path_.string(), kind, name);
}

std::int64_t H5File::id() const {
  check(writable_, ExitCode::kRuntime, "{}: is open for reading only", path_.string());
  detail::prepare_thread();
  check(file_.get() >= 0, ExitCode::kRuntime, "{}: is closed", path_.string());
  return file_.get();
}

// What a caller asks for against what the file has; `code`: kCorrupt where the file is to blame.
H5Info H5File::check_rows(const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count,
    std::size_t buffer, ExitCode code) const {
  const std::string text = label("dataset", name);
  H5Info held = info(name);
  check(type == held.type, code, "{}: holds {}, expected {}", text, name_of(held.type), name_of(type));
  const std::uint64_t rows = held.shape.empty() ? 1 : held.shape[0];
  check(first <= rows && count <= rows - first, code, "{}: rows {} to {} of {} were asked for", text, first,
      first + count, rows);
  const std::uint64_t expected = rows == 0 ? 0 : held.bytes / rows * count;
  check(buffer == expected, ExitCode::kRuntime, "{}: {} rows take {} bytes, the buffer has {}", text, count, expected,
      buffer);
  return held;
}

H5File H5File::open(const fs::path& path) {
  H5File file;
  file.path_ = path;
  file.own_view_ = std::make_unique<ReadOnlyFile>(path);
  detail::H5Content content = detail::scan_file(*file.own_view_);
  file.datasets_ = std::move(content.datasets);
  file.attributes_ = std::move(content.attributes);
  return file;
}

H5File H5File::create(const fs::path& path) {
  detail::prepare_thread();
  const Handle creation = property_list(H5P_FILE_CREATE);
  check_properties(H5Pset_obj_track_times(creation.get(), false) >= 0);
  H5File file;
  file.path_ = path;
  file.writable_ = true;
  file.file_ = own(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access_list().get()), ExitCode::kRuntime,
      fmt::format("{}: create failed", path.string()));
  file.own_view_ = std::make_unique<ReadOnlyFile>(path);
  return file;
}

std::vector<std::string> H5File::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : datasets_) names.push_back(name);
  return names;
}

H5Info H5File::info(const std::string& name) const {
  const auto found = datasets_.find(name);
  check(found != datasets_.end(), ExitCode::kCorrupt, "{}: has no dataset \"{}\"; it has: {}", path_.string(), name,
      fmt::join(names(), ", "));
  return found->second;
}

void H5File::read_rows(
    const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const {
  check(!writable_, ExitCode::kRuntime, "{}: is open for writing only", path_.string());
  const H5Info held = check_rows(name, type, first, count, out.size(), ExitCode::kCorrupt);
  if (!out.empty()) own_view_->read_at(held.file_offset + out.size() / count * first, out);
}

void H5File::create_dataset(const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape) {
  const std::string what = label("dataset", name);
  const hid_t file = id();
  check(detail::is_good_name(name), ExitCode::kRuntime, "{}: is not a good name", what);
  check(!has(name), ExitCode::kRuntime, "{}: exists already", what);
  const auto bytes = detail::bytes_of(shape, type);
  check(shape.size() <= detail::kMaxRank && bytes, ExitCode::kRuntime, "{}: shape [{}] is out of range", what,
      fmt::join(shape, ", "));
  const Handle links = property_list(H5P_LINK_CREATE);
  check_properties(
      H5Pset_create_intermediate_group(links.get(), 1) >= 0 && H5Pset_char_encoding(links.get(), H5T_CSET_UTF8) >= 0);
  const Handle dataset = own(H5Dcreate2(file, name.c_str(), detail::make_type(type).get(),
                                 make_space(shape, what).get(), links.get(), contiguous_list().get(), H5P_DEFAULT),
      ExitCode::kRuntime, what);
  const haddr_t offset = *bytes == 0 ? 0 : H5Dget_offset(dataset.get());
  check_h5(offset != HADDR_UNDEF, ExitCode::kRuntime, "{}: has no place in the file", what);
  datasets_.emplace(name, H5Info{type, shape, *bytes, offset});
}

void H5File::write_rows(
    const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<const std::byte> in) {
  const hid_t file_id = id();
  const H5Info held = check_rows(name, type, first, count, in.size(), ExitCode::kRuntime);
  if (in.empty()) return;
  const std::string what = label("dataset", name);
  const Handle dataset = own(H5Dopen2(file_id, name.c_str(), H5P_DEFAULT), ExitCode::kRuntime, what);
  const Handle file = make_space(held.shape, what), type_id = detail::make_type(type);
  std::vector<std::uint64_t> extent = held.shape;
  if (!extent.empty()) {
    extent[0] = count;
    std::vector<hsize_t> start(extent.size(), 0);
    start[0] = first;
    const std::vector<hsize_t> size(extent.begin(), extent.end());
    check_h5(H5Sselect_hyperslab(file.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr) >= 0,
        ExitCode::kRuntime, "{}", what);
  }
  const Handle memory = make_space(extent, what);
  check_h5(H5Dwrite(dataset.get(), type_id.get(), memory.get(), file.get(), H5P_DEFAULT, in.data()) >= 0,
      ExitCode::kRuntime, "{}: writing failed", what);
  // Few bytes wait in a buffer of the dataset, and closing it would not say that they were lost.
  check_h5(H5Dflush(dataset.get()) >= 0, ExitCode::kRuntime, "{}: writing failed", what);
}

void H5File::write(
    const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape, std::span<const std::byte> in) {
  create_dataset(name, type, shape);
  write_rows(name, type, 0, shape.empty() ? 1 : shape[0], in);
}

void H5File::close_durable() {
  const hid_t file = id();
  const std::string what = fmt::format("{}: closing failed", path_.string());
  check_h5(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0, ExitCode::kRuntime, "{}", what);
  check_h5(file_.close(), ExitCode::kRuntime, "{}", what);
  own_view_->sync();
}

// --- attributes of the root group ---

namespace {

void put_attribute(
    hid_t file, const std::string& what, const std::string& name, const Handle& type, const void* value) {
  if (H5Aexists(file, name.c_str()) > 0) {
    check_h5(H5Adelete(file, name.c_str()) >= 0, ExitCode::kRuntime, "{}", what);
  }
  const Handle space = make_space({}, what);
  Handle attribute =
      own(H5Acreate2(file, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), ExitCode::kRuntime, what);
  check_h5(H5Awrite(attribute.get(), type.get(), value) >= 0 && attribute.close(), ExitCode::kRuntime, "{}", what);
}

}  // namespace

bool H5File::has_attribute(const std::string& name) const { return attributes_.contains(name); }

void H5File::set_attribute(const std::string& name, const std::string& value) {
  const std::string what = label("attribute", name);
  const hid_t file = id();
  check(value.size() <= detail::kMaxString, ExitCode::kRuntime, "{}: {} bytes, expected at most {}", what, value.size(),
      detail::kMaxString);
  check(value.find('\0') == std::string::npos, ExitCode::kRuntime, "{}: the text has a zero byte", what);
  const Handle type = own(H5Tcopy(H5T_C_S1), ExitCode::kRuntime, what);
  check_h5(H5Tset_size(type.get(), value.size() + 1) >= 0 && H5Tset_cset(type.get(), H5T_CSET_UTF8) >= 0,
      ExitCode::kRuntime, "{}", what);
  put_attribute(file, what, name, type, value.c_str());
}

void H5File::set_attribute(const std::string& name, std::int64_t value) {
  put_attribute(id(), label("attribute", name), name, detail::make_type(H5Type::kI64), &value);
}

const detail::H5Attribute& H5File::attribute(const std::string& name) const {
  const auto found = attributes_.find(name);
  check(found != attributes_.end(), ExitCode::kCorrupt, "{}: is missing", label("attribute", name));
  check(found->second.is_single, ExitCode::kCorrupt, "{}: is not a single value", label("attribute", name));
  return found->second;
}

std::string H5File::string_attribute(const std::string& name) const {
  const detail::H5Attribute& held = attribute(name);
  check(held.kind == detail::H5Attribute::Kind::kText, ExitCode::kCorrupt, "{}: is not a text of fixed length",
      label("attribute", name));
  check(held.bytes <= detail::kMaxString + 1, ExitCode::kCorrupt, "{}: {} bytes, expected at most {}",
      label("attribute", name), held.bytes, detail::kMaxString);
  return held.text;
}

std::int64_t H5File::int_attribute(const std::string& name) const {
  const detail::H5Attribute& held = attribute(name);
  check(held.kind == detail::H5Attribute::Kind::kInteger, ExitCode::kCorrupt, "{}: is not a 64-bit integer",
      label("attribute", name));
  return held.integer;
}

}  // namespace hebm::storage
