// What images show of a label, told without the prior: classes, and groups of them, by the
// classifier of the scores; measured attributes from the pixels, by the data set's own rule.
#pragma once
#include <ATen/core/Tensor.h>
#include <vector>
#include "data/dataset.h"
#include "nets/feature_net.h"
#include "prior/label_heads.h"

namespace hebm::evaluate {

class LabelReader {
 public:
  // Error(kUsage) where the data set or the classifier does not know these categories.
  LabelReader(const prior::LabelHead& head, const data::Dataset& dataset, const nets::FeatureNet& classifier);
  // x [B, C, H, W] in [0, 1]; classes [B] int64: the classifier's -> [B] int64, all on x's device.
  at::Tensor read(const at::Tensor& x, const at::Tensor& classes) const;
  // Of the data set's images.
  const data::LabelColumn& column() const { return column_; }
 private:
  data::LabelColumn column_;
  data::Attribute attribute_;  // without a name: the data set's labels
};

}  // namespace hebm::evaluate
