// Convolution of small maps, channels last: every output pixel is a product of runs of neighbouring
// input pixels, which lie side by side in memory, with rows of the weights, over all images at
// once. Nothing is gathered and no zero of the padding is multiplied. For maps of a latent's size;
// forward, the gradient to the map and that to the weights, without autograd.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>
#include <cstdint>
#include <map>
#include <vector>

namespace hebm::nets {

struct MapShape {
  std::int64_t channels = 0, height = 0, width = 0;
  std::int64_t pixels() const { return height * width; }
  std::int64_t size() const { return channels * pixels(); }
};

struct MapConvForm {
  std::int64_t stride = 1, padding = 1;
  bool doubles = false;  // the map's sides, nearest, before the convolution (stride 1)
};

class MapConv {
 public:
  MapConv() = default;
  // weight [O, C, k, k] float32 on the host; its values are copied. type: kBFloat16: weights and x
  // are rounded for the products of forward() and reverse().
  MapConv(const at::Tensor& weight, const MapShape& in, const MapConvForm& form, at::ScalarType type = at::kFloat);
  const MapShape& in() const { return in_; }
  const MapShape& out() const { return out_; }
  at::Tensor zero_weight() const;  // [O, C, k, k]
  // x [images, H, W, C] -> y [images, H', W', O], without bias; add: to what is there.
  void forward(const float* x, float* y, std::int64_t images, bool add = false) const;
  // d/dy -> d/dx
  void reverse(const float* gy, float* gx, std::int64_t images) const;
  // Adds d/d weight to [O, C, k, k].
  void add_weight_gradient(const float* x, const float* gy, std::int64_t images, const at::Tensor& gradient) const;
 private:
  // What one target of a line reads: sources, and the tap of the kernel for each.
  struct Tap {
    std::int64_t source, tap;
  };
  using Line = std::vector<std::vector<Tap>>;  // by target
  // Part of a matrix: rows of source pixel `row`, columns of target pixel `column`.
  struct Part {
    std::int64_t row, column, tap_y, tap_x;
    auto operator<=>(const Part&) const = default;
  };
  struct Product {
    std::int64_t from, inner;  // of one image: first float, floats
    std::int64_t to, columns;  // likewise
    std::int64_t matrix;       // first float of [inner, columns]
    bool first;                // of those that write there
  };
  struct Block {  // a matrix: what it holds, [inner, columns]
    std::int64_t inner, columns;
    std::vector<Part> parts;
    auto operator<=>(const Block&) const = default;
  };
  struct Side {  // of the map that is read, and the one that is written
    MapShape from, to;
    std::vector<Product> products;
    std::map<Block, std::int64_t> places;  // first float of each in `matrices`
    std::vector<float> matrices;
    std::vector<at::BFloat16> rounded;  // of them, or empty
    void add_block(const Line& rows, std::int64_t row, const Line& columns, std::int64_t first, std::int64_t last);
    std::int64_t place(const Block& block);
    void build(const Line& rows, const Line& columns);
    // visit(part, its first float, floats from row to row)
    template <class Visit> void each_part(const Visit& visit) const;
    void fill(const at::Tensor& taps, at::ScalarType type);  // [k, k, from, to]
    void run(const float* x, float* y, std::int64_t images, bool add) const;
  };
  static Line line(std::int64_t sources, std::int64_t targets, std::int64_t kernel, const MapConvForm& form);
  static Line turned(const Line& line, std::int64_t sources);

  MapShape in_, out_;
  std::int64_t kernel_ = 0;
  Side forward_, reverse_;
};

}  // namespace hebm::nets
