#include "storage/hdf5_heap.h"
#include <algorithm>
#include <bit>

namespace hebm::storage::detail {
namespace {

constexpr std::uint64_t kMaxRows = 64, kMaxWidth = 1024, kMaxDepth = 16;

std::uint64_t log2_of(std::uint64_t value) { return static_cast<std::uint64_t>(std::bit_width(value)) - 1; }

// Bytes of a number of at most `limit`.
std::size_t bytes_for(std::uint64_t limit) { return log2_of(std::max<std::uint64_t>(limit, 1)) / 8 + 1; }

// A B-tree of version 2. Of every level, the leaves first: how many records fit, and the bytes of
// their number in all nodes below.
class Tree {
 public:
  Tree(H5Source& source, std::uint64_t address, const RecordKind& kind,
      const std::function<void(std::span<const std::byte>)>& take)
      : source_(source), kind_(kind), take_(take) {
    const Bytes header = source.read_signed(address, 38, "BTHD", true);
    Cursor cursor(source, header, 4);
    const bool known = cursor.number(1) == 0 && cursor.number(1) == kind.type;
    node_bytes_ = cursor.number(4);
    const std::uint64_t record_bytes = cursor.number(2);
    depth_ = cursor.number(2);
    cursor.skip(2);
    root_ = cursor.address();
    num_root_ = cursor.number(2);
    const bool fits = known && record_bytes == kind.bytes && depth_ <= kMaxDepth && node_bytes_ >= kNodeHead + 4 &&
                      node_bytes_ <= (1u << 20);
    source.expect(fits, "a B-tree at byte {} of another kind than expected", address);
    measure_levels();
  }

  void read() {
    if (root_ != kNoAddress) read_node(root_, num_root_, depth_);
  }
 private:
  static constexpr std::uint64_t kNodeHead = 6, kSum = 4;

  std::uint64_t pointer_bytes(std::uint64_t level) const {
    return 8 + count_bytes_ + (level > 1 ? total_bytes_[level - 1] : 0);
  }

  void measure_levels() {
    const std::uint64_t room = node_bytes_ - kNodeHead - kSum;
    std::uint64_t total = room / kind_.bytes;
    count_bytes_ = bytes_for(total);
    total_bytes_ = {0};
    for (std::uint64_t level = 1; level <= depth_; ++level) {
      const std::uint64_t pointer = pointer_bytes(level);
      source_.expect(room > pointer + kind_.bytes, "a B-tree whose nodes of {} bytes are too small", node_bytes_);
      const std::uint64_t most = (room - pointer) / (kind_.bytes + pointer);
      const bool overflow =
          __builtin_mul_overflow(most + 1, total, &total) || __builtin_add_overflow(total, most, &total);
      source_.expect(!overflow, "a B-tree of {} levels", depth_);
      total_bytes_.push_back(bytes_for(total));
    }
  }

  void read_node(std::uint64_t address, std::uint64_t count, std::uint64_t level) {
    const std::uint64_t pointers = level == 0 ? 0 : (count + 1) * pointer_bytes(level);
    const std::uint64_t bytes = kNodeHead + count * kind_.bytes + pointers + kSum;
    source_.expect(bytes <= node_bytes_, "a B-tree's node of {} records at byte {}", count, address);
    const Bytes node = source_.read_signed(address, bytes, level == 0 ? "BTLF" : "BTIN", true);
    Cursor cursor(source_, node, 4);
    const bool known = cursor.number(1) == 0 && cursor.number(1) == kind_.type;
    source_.expect(known, "a B-tree's node of another kind at byte {}", address);
    const std::span<const std::byte> records = cursor.take(count * kind_.bytes);
    for (std::uint64_t i = 0; i <= count; ++i) {
      if (level > 0) {
        const std::uint64_t child = cursor.address(), of_child = cursor.number(count_bytes_);
        cursor.skip(pointer_bytes(level) - 8 - count_bytes_);
        read_node(child, of_child, level - 1);
      }
      if (i < count) take_(records.subspan(i * kind_.bytes, kind_.bytes));
    }
  }

  H5Source& source_;
  RecordKind kind_;
  const std::function<void(std::span<const std::byte>)>& take_;
  std::uint64_t node_bytes_ = 0, depth_ = 0, root_ = kNoAddress, num_root_ = 0;
  std::size_t count_bytes_ = 0;
  std::vector<std::size_t> total_bytes_;
};

}  // namespace

void each_record(H5Source& source, std::uint64_t tree, const RecordKind& kind,
    const std::function<void(std::span<const std::byte>)>& take) {
  if (tree != kNoAddress) Tree(source, tree, kind, take).read();
}

FractalHeap::FractalHeap(H5Source& source, std::uint64_t address) : source_(source), address_(address) {
  constexpr std::uint64_t kHeader = 146;
  const Bytes header = source.read_signed(address, kHeader, "FRHP", false);
  Cursor cursor(source, header, 4);
  source.expect(cursor.number(1) == 0, "a heap of an unknown version at byte {}", address);
  id_bytes_ = cursor.number(2);
  source.expect(cursor.number(2) == 0, "a heap with filters at byte {}", address);
  source.read_signed(address, kHeader, "FRHP", true);
  has_sums_ = (cursor.number(1) & 2) != 0;
  const std::uint64_t max_managed = cursor.number(4);
  cursor.skip(8);
  huge_tree_ = cursor.address();
  cursor.skip(2 * 8 + 8 * 8);
  width_ = cursor.number(2);
  start_bytes_ = cursor.number(8);
  max_direct_bytes_ = cursor.number(8);
  const std::uint64_t bits = cursor.number(2);
  cursor.skip(2);
  root_ = cursor.address();
  root_rows_ = cursor.number(2);
  const bool fits = std::has_single_bit(width_) && width_ <= kMaxWidth && std::has_single_bit(start_bytes_) &&
                    std::has_single_bit(max_direct_bytes_) && start_bytes_ <= max_direct_bytes_ &&
                    max_direct_bytes_ <= (1u << 25) && bits >= 8 && bits <= 64 && root_rows_ <= kMaxRows;
  offset_bytes_ = (bits + 7) / 8;
  length_bytes_ =
      std::min<std::size_t>((log2_of(std::max<std::uint64_t>(max_direct_bytes_, 1)) + 7) / 8, bytes_for(max_managed));
  source.expect(fits && id_bytes_ >= 1 + offset_bytes_ + length_bytes_ && id_bytes_ <= 64,
      "a heap at byte {} with sizes that do not fit", address);
}

Bytes FractalHeap::object(std::span<const std::byte> id, std::uint64_t max_bytes) {
  Cursor cursor(source_, id);
  const std::uint64_t kind = cursor.number(1) >> 4;
  if (kind == 1) return huge_object(cursor.number(std::min<std::size_t>(id_bytes_ - 1, 8)), max_bytes);
  source_.expect(kind == 0, "an object of unknown kind {} in the heap at byte {}", kind, address_);
  const std::uint64_t offset = cursor.number(offset_bytes_), bytes = cursor.number(length_bytes_);
  const Block block = find_block(offset);
  const Bytes& all = direct_block(block);
  Cursor inside(source_, all, offset - block.offset);
  const auto own = inside.take(bytes).first(std::min(bytes, max_bytes));
  return {own.begin(), own.end()};
}

Bytes FractalHeap::huge_object(std::uint64_t key, std::uint64_t max_bytes) {
  std::uint64_t address = kNoAddress, bytes = 0;
  each_record(source_, huge_tree_, {1, 24}, [&](std::span<const std::byte> record) {
    Cursor cursor(source_, record);
    const std::uint64_t where = cursor.address(), size = cursor.number(8);
    if (cursor.number(8) == key) address = where, bytes = size;
  });
  source_.expect(address != kNoAddress, "no large object {} in the heap at byte {}", key, address_);
  return source_.read(address, std::min(bytes, max_bytes));
}

// Rows of `width_` blocks each: the first two of start_bytes_, every further one of twice as large
// ones; what is larger than max_direct_bytes_ is such a table again.
FractalHeap::Block FractalHeap::find_block(std::uint64_t offset) {
  source_.expect(root_ != kNoAddress, "the heap at byte {} is empty", address_);
  if (root_rows_ == 0) return {root_, start_bytes_, 0};
  Block table{root_, 0, 0};
  std::uint64_t num_rows = root_rows_;
  for (std::uint64_t depth = 0; depth < kMaxDepth; ++depth) {
    const std::uint64_t rest = offset - table.offset, first_row = start_bytes_ * width_;
    const std::uint64_t row = rest < first_row ? 0 : log2_of(rest) - log2_of(first_row) + 1;
    source_.expect(row < num_rows, "byte {} of the heap at byte {} is not there", offset, address_);
    const std::uint64_t row_start = row == 0 ? 0 : first_row << (row - 1), bytes = row_bytes(row);
    const std::uint64_t column = (rest - row_start) / bytes;
    Block found{child(table, num_rows, row * width_ + column), bytes, table.offset + row_start + column * bytes};
    if (bytes <= max_direct_bytes_) return found;
    source_.expect(bytes >= first_row, "the heap at byte {} has rows that do not fit", address_);
    num_rows = log2_of(bytes) - log2_of(first_row) + 1;
    table = found;
  }
  source_.damaged("the heap at byte {} is nested too deeply", address_);
}

std::uint64_t FractalHeap::child(const Block& parent, std::uint64_t num_rows, std::uint64_t entry) {
  const std::uint64_t head = 4 + 1 + 8 + offset_bytes_, bytes = head + num_rows * width_ * 8 + 4;
  const auto [found, is_new] = blocks_.try_emplace(parent.address);
  if (is_new) found->second = source_.read_signed(parent.address, bytes, "FHIB", true);
  return Cursor(source_, found->second, head + 8 * entry).address();
}

const Bytes& FractalHeap::direct_block(const Block& block) {
  const auto [found, is_new] = blocks_.try_emplace(block.address);
  Bytes& bytes = found->second;
  if (!is_new) {
    source_.expect(bytes.size() == block.bytes, "two blocks of a heap at byte {}", block.address);
    return bytes;
  }
  bytes = source_.read_signed(block.address, block.bytes, "FHDB", false);
  if (!has_sums_) return bytes;
  // The sum is over the block with zeros in its place.
  const std::size_t at = 4 + 1 + 8 + offset_bytes_;
  const std::uint64_t stored = Cursor(source_, bytes, at).number(4);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 4, std::byte{0});
  const std::uint32_t got = lookup3(bytes);
  source_.expect(
      stored == got, "the heap's block at byte {} has check sum {:08x}, expected {:08x}", block.address, got, stored);
  return bytes;
}

}  // namespace hebm::storage::detail
