// HDF5 files, RAII, for exactly what this project writes and trusts: hard-linked, contiguous,
// unfiltered datasets of native integers and floats plus scalar attributes. Anything else in a file
// that is read (external storage or links, soft links, virtual or chunked datasets, filters,
// compound types) is refused by name: Error(kCorrupt). Sizes are checked against the file's size
// before anything is allocated. File locking is off (immutable files, network file systems). Only
// storage/ includes hdf5.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hebm::storage {

namespace fs = std::filesystem;

enum class H5Type { kU8, kI32, kI64, kU64, kF16, kF32, kF64 };
std::size_t size_of(H5Type type);
std::string_view name_of(H5Type type);

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
  H5File(H5File&&) noexcept;
  H5File& operator=(H5File&&) noexcept;
  ~H5File();

  const fs::path& path() const;
  bool has(const std::string& name) const;
  std::vector<std::string> names() const;  // datasets of the root group and of groups below ("u0/3")
  H5Info info(const std::string& name) const;
  // Rows [first, first+count) of the first dimension into out; type and size are checked against
  // the dataset.
  void read_rows(
      const std::string& name, H5Type type, std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const;
  template <class T> std::vector<T> read_all(const std::string& name, H5Type type) const {
    const H5Info i = info(name);
    std::vector<T> out(i.bytes / size_of(i.type));
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
  struct Impl;
  explicit H5File(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hebm::storage
