// How a training's batches are cut into micro-batches, and which images these are made of.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>
#include "base/error.h"
#include "base/share.h"
#include "data/batch_order.h"

namespace hebm::train {

// A global batch is V micro-batches of fixed shape and membership; rank r of N gets the whole
// micro-batches of share_of(V, r, N). So no result depends on the number of ranks.
struct MicroBatches {
  std::int64_t batch = 0, size = 0, count = 0;  // global batch, rows of one, V
  std::int64_t first = 0, last = 0;             // this rank's

  MicroBatches(std::int64_t global, std::int64_t rows, int rank, int num_ranks, const std::string& keys)
      : batch(global), size(rows), count(rows > 0 ? global / rows : 0) {
    check(size > 0 && count * size == batch, ExitCode::kUsage,
        "{}: the batch {} is not a multiple of the micro-batch {}", keys, batch, size);
    check(count >= num_ranks, ExitCode::kUsage,
        "{}: batch {} in micro-batches of {} gives {} of them for {} ranks; take a smaller micro-batch, a "
        "larger batch or fewer ranks",
        keys, batch, size, count, num_ranks);
    const Share mine = share_of(count, rank, num_ranks);
    first = mine.first;
    last = mine.last;
  }
  std::int64_t local() const { return last - first; }
  // This rank's, in pieces of at most so many.
  std::int64_t pieces(std::int64_t at_once) const { return (local() - 1) / std::min(at_once, local()) + 1; }
};

struct Update {
  std::int64_t number = 0, total = 0;
  std::uint32_t attempt = 0;  // part of every random key
};

// Micro-batches [first, last) of an update.
struct Work {
  Update update;
  std::int64_t first, last;
};

// The images of a piece of work.
class WorkImages {
 public:
  // Of `count` images; image_of gives the number of one in the data set by its place in the list.
  using ImageOf = std::function<std::int64_t(std::int64_t position)>;
  WorkImages(std::int64_t count, ImageOf image_of, const MicroBatches& batches, std::uint64_t seed)
      : order_(count, batches.batch, seed), image_of_(std::move(image_of)), size_(batches.size) {}
  // Of a list, which must outlive this object.
  WorkImages(const std::vector<std::int64_t>& images, const MicroBatches& batches, std::uint64_t seed)
      : WorkImages(
            std::ssize(images), [&images](std::int64_t p) { return images[static_cast<std::size_t>(p)]; }, batches,
            seed) {}

  struct Rows {
    std::vector<std::int64_t> positions, images;
    std::vector<std::uint32_t> epochs;  // that each is in
  };
  Rows of(const Work& work) const {
    Rows out;
    for (const auto& [position, epoch] :
        order_.members(work.update.number, work.first * size_, (work.last - work.first) * size_)) {
      out.positions.push_back(position);
      out.images.push_back(image_of_(position));
      out.epochs.push_back(epoch);
    }
    return out;
  }
 private:
  data::BatchOrder order_;
  ImageOf image_of_;
  std::int64_t size_;  // of a micro-batch
};

}  // namespace hebm::train
