// Which images the micro-batches of a training are made of.
#pragma once
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>
#include "data/batch_order.h"
#include "train/objective.h"

namespace hebm::train {

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
