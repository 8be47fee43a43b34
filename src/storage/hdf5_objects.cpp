#include "storage/hdf5_objects.h"
#include <algorithm>
#include <cstring>
#include <deque>
#include "storage/hdf5_heap.h"

namespace hebm::storage::detail {
namespace {

constexpr std::size_t kMaxChunks = 10000, kMaxMessages = 100000, kMaxLinkBytes = 64 << 10;
constexpr std::uint64_t kLastKnown = 0x18, kRefuseUnknown = 0x80, kShared = 0x2;

struct Chunk {
  std::uint64_t address = 0, bytes = 0;
};

// Messages of a header, chunk by chunk. head: bytes before a message's own.
class ObjectReader {
 public:
  ObjectReader(H5Source& source, H5Object& object) : source_(source), object_(object) {}

  void read() {
    const std::uint64_t address = object_.address;
    source_.expect(address < source_.size(), "an object at byte {} of a file of {} bytes", address, source_.size());
    const Bytes start = source_.read(address, std::min<std::uint64_t>(16, source_.size() - address));
    if (start.size() >= 4 && std::memcmp(start.data(), "OHDR", 4) == 0) {
      read_version_2(start);
    } else {
      read_version_1(start);
    }
    for (std::size_t done = 0; done < later_.size(); ++done) {
      source_.expect(done < kMaxChunks, "an object of more than {} chunks", kMaxChunks);
      read_chunk(later_[done]);
    }
  }
 private:
  void read_version_1(const Bytes& start) {
    Cursor cursor(source_, start);
    source_.expect(cursor.number(1) == 1, "expected an object at byte {}", object_.address);
    cursor.skip(1 + 2 + 4);
    later_.push_back({object_.address + 16, cursor.number(4)});
    head_bytes_ = 8;
  }

  void read_version_2(const Bytes& start) {
    is_version_2_ = true;
    Cursor cursor(source_, start, 4);
    source_.expect(cursor.number(1) == 2, "an object of an unknown version at byte {}", object_.address);
    const std::uint64_t flags = cursor.number(1), size_bytes = 1u << (flags & 3);
    source_.expect(flags < 0x40, "unknown flags of the object at byte {}", object_.address);
    const std::uint64_t before = 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
    head_bytes_ = (flags & 4) != 0 ? 6 : 4;
    const Bytes prefix = source_.read(object_.address, before + size_bytes);
    const std::uint64_t size = Cursor(source_, prefix, before).number(size_bytes), first = before + size_bytes;
    source_.expect(size <= source_.size(), "an object of {} bytes", size);
    const Bytes all = source_.read_signed(object_.address, first + size + 4, "OHDR", true);
    add_messages(std::span(all).subspan(first, size));
  }

  void read_chunk(const Chunk& chunk) {
    if (!is_version_2_) return add_messages(source_.read(chunk.address, chunk.bytes));
    source_.expect(chunk.bytes >= 8, "a chunk of {} bytes", chunk.bytes);
    const Bytes all = source_.read_signed(chunk.address, chunk.bytes, "OCHK", true);
    add_messages(std::span(all).subspan(4, all.size() - 8));
  }

  // What is shorter than a message's head is a gap.
  void add_messages(std::span<const std::byte> bytes) {
    Cursor cursor(source_, bytes);
    while (cursor.left() >= head_bytes_) {
      const std::uint64_t kind = cursor.number(is_version_2_ ? 1 : 2), size = cursor.number(2),
                          flags = cursor.number(1);
      cursor.skip(head_bytes_ - (is_version_2_ ? 4 : 5));
      const std::span<const std::byte> own = cursor.take(size);
      if (kind == 0) continue;
      source_.expect(kind <= kLastKnown || (flags & kRefuseUnknown) == 0, "a message of unknown type {}", kind);
      source_.expect(object_.messages.size() < kMaxMessages, "more than {} messages of an object", kMaxMessages);
      if (static_cast<H5Kind>(kind) == H5Kind::kContinuation) {
        Cursor where(source_, own);
        const std::uint64_t address = where.address();
        later_.push_back({address, where.number(8)});
      } else {
        object_.messages.push_back({static_cast<H5Kind>(kind), (flags & kShared) != 0, Bytes(own.begin(), own.end())});
      }
    }
  }

  H5Source& source_;
  H5Object& object_;
  std::deque<Chunk> later_;
  bool is_version_2_ = false;
  std::size_t head_bytes_ = 0;
};

H5Link parse_link(const H5Source& source, std::span<const std::byte> bytes) {
  Cursor cursor(source, bytes);
  source.expect(cursor.number(1) == 1, "a link of an unknown version");
  const std::uint64_t flags = cursor.number(1), type = (flags & 8) != 0 ? cursor.number(1) : 0;
  cursor.skip(((flags & 4) != 0 ? 8 : 0) + ((flags & 0x10) != 0 ? 1 : 0));
  H5Link link;
  const std::uint64_t name_bytes = cursor.number(1u << (flags & 3));
  link.name = cursor.text(name_bytes);
  using Target = H5Link::Target;
  link.target = type == 0    ? Target::kObject
                : type == 1  ? Target::kSoft
                : type == 64 ? Target::kOtherFile
                             : Target::kUnknown;
  if (link.target == Target::kObject) link.address = cursor.address();
  return link;
}

// A group of the first format: a B-tree of symbol nodes, names in a heap.
class SymbolTable {
 public:
  SymbolTable(H5Source& source, const std::function<void(H5Link)>& take) : source_(source), take_(take) {}

  void read(const Bytes& message) {
    Cursor cursor(source_, message);
    const std::uint64_t tree = cursor.address(), heap = cursor.address();
    const Bytes header = source_.read_signed(heap, 32, "HEAP", false);
    Cursor fields(source_, header, 8);
    const std::uint64_t size = fields.number(8);
    fields.skip(8);
    names_ = source_.read(fields.address(), size);
    read_node(tree, kAnyLevel);
  }
 private:
  static constexpr std::uint64_t kAnyLevel = ~std::uint64_t{0}, kMaxLevel = 32, kSoftLink = 2;

  void read_node(std::uint64_t address, std::uint64_t expected_level) {
    const Bytes head = source_.read_signed(address, 24, "TREE", false);
    Cursor cursor(source_, head, 4);
    const std::uint64_t type = cursor.number(1), level = cursor.number(1), count = cursor.number(2);
    const bool fits = type == 0 && level <= kMaxLevel && (expected_level == kAnyLevel || level == expected_level);
    source_.expect(fits, "a B-tree's node of type {}, level {} at byte {}", type, level, address);
    const Bytes body = source_.read(address + 24, 16 * count);
    Cursor children(source_, body);
    for (std::uint64_t i = 0; i < count; ++i) {
      children.skip(8);
      const std::uint64_t child = children.address();
      level == 0 ? read_symbols(child) : read_node(child, level - 1);
    }
  }

  void read_symbols(std::uint64_t address) {
    const Bytes head = source_.read_signed(address, 8, "SNOD", false);
    const std::uint64_t count = Cursor(source_, head, 6).number(2);
    const Bytes body = source_.read(address + 8, 40 * count);
    Cursor cursor(source_, body);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t name = cursor.number(8), object = cursor.address(), kind = cursor.number(4);
      cursor.skip(4 + 16);
      take_({name_at(name), kind == kSoftLink ? H5Link::Target::kSoft : H5Link::Target::kObject, object});
    }
  }

  std::string name_at(std::uint64_t offset) const {
    source_.expect(offset < names_.size(), "a name at byte {} of {}", offset, names_.size());
    const auto begin = names_.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto end = std::find(begin, names_.end(), std::byte{0});
    source_.expect(end != names_.end(), "a name without an end");
    return {reinterpret_cast<const char*>(&*begin), static_cast<std::size_t>(end - begin)};
  }

  H5Source& source_;
  const std::function<void(H5Link)>& take_;
  Bytes names_;
};

// Heap and tree of names where links or attributes are too many or too large for the header.
struct Dense {
  std::uint64_t heap = kNoAddress, tree = kNoAddress;
};

Dense dense_of(const H5Source& source, const H5Message* info, std::size_t order_bytes) {
  if (info == nullptr) return {};
  source.expect(!info->is_shared, "a shared message");
  Cursor cursor(source, info->bytes);
  source.expect(cursor.number(1) == 0, "an unknown version of dense storage");
  cursor.skip((cursor.number(1) & 1) != 0 ? order_bytes : 0);
  const std::uint64_t heap = cursor.address();
  return {heap, cursor.address()};
}

}  // namespace

const H5Message* H5Object::find(H5Kind kind) const {
  const auto found = std::ranges::find(messages, kind, &H5Message::kind);
  return found == messages.end() ? nullptr : &*found;
}

H5Object read_object(H5Source& source, std::uint64_t address) {
  H5Object object;
  object.address = address;
  ObjectReader(source, object).read();
  return object;
}

void each_link(H5Source& source, const H5Object& group, const std::function<void(H5Link)>& take) {
  if (const H5Message* table = group.find(H5Kind::kSymbolTable)) SymbolTable(source, take).read(table->bytes);
  for (const H5Message& message : group.messages)
    if (message.kind == H5Kind::kLink) take(parse_link(source, message.bytes));
  const Dense dense = dense_of(source, group.find(H5Kind::kLinkInfo), 8);
  if (dense.heap == kNoAddress) return;
  FractalHeap heap(source, dense.heap);
  each_record(source, dense.tree, {5, 4 + heap.id_bytes()}, [&](std::span<const std::byte> record) {
    take(parse_link(source, heap.object(record.subspan(4), kMaxLinkBytes)));
  });
}

void each_attribute(H5Source& source, const H5Object& object, std::size_t max_bytes,
    const std::function<void(std::span<const std::byte>)>& take) {
  for (const H5Message& message : object.messages)
    if (message.kind == H5Kind::kAttribute && !message.is_shared) take(message.bytes);
  const Dense dense = dense_of(source, object.find(H5Kind::kAttributeInfo), 2);
  if (dense.heap == kNoAddress) return;
  FractalHeap heap(source, dense.heap);
  each_record(source, dense.tree, {8, heap.id_bytes() + 9}, [&](std::span<const std::byte> record) {
    const bool is_shared = (std::to_integer<std::uint64_t>(record[heap.id_bytes()]) & kShared) != 0;
    if (!is_shared) take(heap.object(record.first(heap.id_bytes()), max_bytes));
  });
}

}  // namespace hebm::storage::detail
