// Chunks that an earlier start of a command made: comm/chunks.h asks for them and adds to them,
// storage/chunk_file.h keeps them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hebm {

class KeptChunks {
 public:
  virtual ~KeptChunks() = default;
  // A pass over items: find() and keep() are of its chunks from here on. Passes of one name are
  // told apart by their order.
  virtual void begin(const std::string& pass) = 0;
  // Its bytes; none where it was not kept or is damaged.
  virtual std::optional<std::string> find(std::int64_t number) = 0;
  // seconds: what it took. A disk that is full is no error: the chunk is not kept.
  virtual void keep(std::int64_t number, std::string_view bytes, double seconds) = 0;
  // What was kept survives a power cut from here on.
  virtual void sync() = 0;
};

}  // namespace hebm
