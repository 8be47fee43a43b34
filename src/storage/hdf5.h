// HDF5 files, RAII, for exactly what this project writes and trusts: hard-linked, contiguous,
// unfiltered datasets of native integers and floats plus scalar attributes. Anything else in a file
// that is read (external storage or links, soft links, virtual or chunked datasets, filters,
// compound types) is refused by name: Error(kCorrupt). libhdf5 writes; a parser of our own reads
// (hdf5_scan.h), so no damaged file reaches libhdf5. Sizes are checked against the file's size
// before anything is allocated. No file is locked (immutable files, network file systems). Only
// storage/ includes hdf5.h.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "base/choice.h"
#include "base/error.h"
#include "storage/files.h"
#include "storage/memory.h"

namespace hebm::storage {

enum class H5Type { kU8, kI32, kI64, kU64, kF16, kF32, kF64 };
constexpr std::array<Choice<H5Type>, 7> choices_of(H5Type) {
  return {{{"u8", H5Type::kU8}, {"i32", H5Type::kI32}, {"i64", H5Type::kI64}, {"u64", H5Type::kU64},
      {"f16", H5Type::kF16}, {"f32", H5Type::kF32}, {"f64", H5Type::kF64}}};
}
constexpr std::size_t size_of(H5Type type) {
  return std::array<std::size_t, 7>{1, 4, 8, 8, 2, 4, 8}.at(static_cast<std::size_t>(type));
}
using hebm::name_of;

namespace detail {
// Of libhdf5: a file, dataset, type, ... (hid_t). Closed on every way out.
class Handle {
 public:
  explicit Handle(std::int64_t id = -1) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle();
  std::int64_t get() const { return id_; }
  bool close();  // false where that failed
 private:
  std::int64_t id_;
};

// Of the root group.
struct H5Attribute {
  enum class Kind { kOther, kText, kInteger };  // kText: of fixed length; kInteger: of 64 bits
  Kind kind = Kind::kOther;
  bool is_single = false;
  std::uint64_t bytes = 0;  // of the stored text
  std::string text;
  std::int64_t integer = 0;
};
}  // namespace detail

struct H5Info {
  H5Type type;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
  std::uint64_t file_offset = 0;  // of the contiguous data, for pread; 0 when empty
};

class H5File {
 public:
  static H5File open(const fs::path& path);    // read only
  static H5File create(const fs::path& path);  // O_EXCL: an existing file is an error

  const fs::path& path() const { return path_; }
  bool has(const std::string& name) const { return datasets_.contains(name); }
  std::vector<std::string> names() const;  // datasets of the root group and of groups below ("u0/3")
  H5Info info(const std::string& name) const;
  // Rows [first, first + count) of the first dimension; type and size must be the dataset's. Of a
  // file that was opened; several threads may read.
  void read_rows(
      const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const;
  template <class T> std::vector<T> read_all(const std::string& name, H5Type type) const {
    const H5Info i = info(name);
    std::vector<T> out = allocated<T>(i.bytes / size_of(i.type), path_.string() + ": " + name);
    read_rows(name, type, 0, i.shape.empty() ? 1 : i.shape[0],
        {reinterpret_cast<std::byte*>(out.data()), out.size() * sizeof(T)});
    return out;
  }

  void create_dataset(const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape);
  void write_rows(
      const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<const std::byte> in);
  void write(
      const std::string& name, H5Type type, const std::vector<std::uint64_t>& shape, std::span<const std::byte> in);

  // Attributes of the root group. Strings are at most 1 MiB.
  void set_attribute(const std::string& name, const std::string& value);
  void set_attribute(const std::string& name, std::int64_t value);
  std::string string_attribute(const std::string& name) const;  // absent: Error(kCorrupt)
  std::int64_t int_attribute(const std::string& name) const;
  bool has_attribute(const std::string& name) const;

  // Flushes, closes and fsyncs; throws where any of it failed (the destructor only closes).
  void close_durable();
 private:
  H5File() = default;
  std::string label(std::string_view kind, const std::string& name) const;
  std::int64_t id() const;  // of the file that is being written
  H5Info check_rows(const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::size_t buffer,
      ExitCode code) const;
  const detail::H5Attribute& attribute(const std::string& name) const;

  fs::path path_;
  bool writable_ = false;
  std::unique_ptr<ReadOnlyFile> own_view_;  // what is read; of a written file, for fsync, its write-back errors
  detail::Handle file_;                     // of a file that is being written
  std::map<std::string, H5Info> datasets_;
  std::map<std::string, detail::H5Attribute> attributes_;
};

}  // namespace hebm::storage
