#include "prior/small_net_pass.h"
#include <algorithm>
#include "nets/gemm.h"
#include "nets/pointwise.h"

namespace hebm::prior {
namespace {

using nets::MapShape;

const float* data_of(const at::Tensor& t) { return t.const_data_ptr<float>(); }

}  // namespace

SmallNetPass::SmallNetPass(const std::vector<SmallStage>& stages, std::size_t residual, std::int64_t images)
    : stages_(stages), residual_(residual), images_(images), h_(stages.size()), slopes_(stages.size()) {
  std::int64_t largest = stages[0].in.size();
  for (std::size_t j = 0; j < stages.size(); ++j) {
    h_[j].resize(static_cast<std::size_t>(images * stages[j].out.size()));
    slopes_[j].resize(h_[j].size());
    largest = std::max(largest, stages[j].out.size());
  }
  for (Floats* floats : {&gradient_, &below_}) floats->resize(static_cast<std::size_t>(images * largest));
}

const float* SmallNetPass::forward(const float* z, const std::vector<at::Tensor>& biases, std::int64_t first) {
  z_ = z;
  for (std::size_t j = 0; j < stages_.size(); ++j) {
    const SmallStage& stage = stages_[j];
    const std::int64_t in = stage.in.size(), out = stage.out.size();
    const float* x = input(j);
    if (stage.convolves()) {
      stage.conv.forward(x, h_[j].data(), images_);
    } else {
      nets::Rows(x, images_, in, stage.dense.scalar_type(), rounded_).times(stage.dense, h_[j].data(), false);
    }
    const std::int64_t of_image = is_of_images(biases[j]) ? stage.out.channels : 0;
    activate(j, data_of(biases[j]) + first * of_image, of_image);
    if (adds(j)) nets::add_to(h_[j].data(), x, images_ * out);
  }
  return h_.back().data();
}

const float* SmallNetPass::reverse(const float* gh, bool wants_z, const Gradients* weights) {
  std::copy_n(gh, h_.back().size(), gradient_.data());
  for (std::size_t j = stages_.size(); j-- > 0;) {
    const SmallStage& stage = stages_[j];
    const std::int64_t in = stage.in.size(), out = stage.out.size();
    if (adds(j)) kept_ = gradient_;
    nets::multiply_by(gradient_.data(), slopes_[j].data(), images_ * out);
    if (weights != nullptr) add_gradients(j, *weights);
    if (j == 0 && !wants_z) return nullptr;
    if (stage.convolves()) {
      stage.conv.reverse(gradient_.data(), below_.data(), images_);
    } else {
      nets::Rows(gradient_.data(), images_, out, stage.turned.scalar_type(), rounded_)
          .times(stage.turned, below_.data(), false);
    }
    std::swap(gradient_, below_);
    if (adds(j)) nets::add_to(gradient_.data(), kept_.data(), images_ * in);
  }
  return gradient_.data();
}

void SmallNetPass::activate(std::size_t j, const float* bias, std::int64_t of_image) {
  const MapShape& out = stages_[j].out;
  float *h = h_[j].data(), *slope = slopes_[j].data();
  if (of_image == 0) return nets::silu_rows({images_ * out.pixels(), out.channels, h, bias, h, slope});
  for (std::int64_t b = 0; b < images_; ++b)
    nets::silu_rows({out.pixels(), out.channels, h + b * out.size(), bias + b * of_image, h + b * out.size(),
        slope + b * out.size()});
}

void SmallNetPass::add_gradients(std::size_t j, const Gradients& to) const {
  const SmallStage& stage = stages_[j];
  const std::int64_t in = stage.in.size(), out = stage.out.size(), channels = stage.out.channels;
  const float* g = gradient_.data();
  if (stage.convolves()) {
    stage.conv.add_weight_gradient(input(j), g, images_, to.stages[j]);
  } else {
    nets::multiply(nets::Matrix{input(j), in, true}, {g, out}, {to.stages[j].mutable_data_ptr<float>(), out, true},
        {in, out, images_});
  }
  const std::int64_t of_image = is_of_images(to.biases[j]) ? channels : 0;
  float* bias = to.biases[j].mutable_data_ptr<float>() + to.first * of_image;
  for (std::int64_t b = 0; b < images_; ++b, bias += of_image) {
    for (std::int64_t p = 0; p < stage.out.pixels(); ++p, g += channels) nets::add_to(bias, g, channels);
  }
}

}  // namespace hebm::prior
