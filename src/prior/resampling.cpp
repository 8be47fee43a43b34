#include "prior/resampling.h"
#include <ATen/TensorOperators.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"

namespace hebm::prior {

std::vector<std::int64_t> choose_proposals(const at::Tensor& log_weights, const std::vector<double>& uniform) {
  const at::Tensor by_row = log_weights.to(at::kCPU, at::kDouble).t().contiguous();  // [B, M]
  const std::int64_t count = by_row.size(1);
  check(by_row.size(0) == static_cast<std::int64_t>(uniform.size()) && count > 0, ExitCode::kRuntime,
      "resampling: weights of {} rows, {} random numbers", by_row.size(0), uniform.size());
  std::vector<std::int64_t> out;
  std::vector<double> up_to(static_cast<std::size_t>(count));
  for (std::size_t b = 0; b < uniform.size(); ++b) {
    const double* row = by_row.const_data_ptr<double>() + static_cast<std::int64_t>(b) * count;
    const double largest = *std::max_element(row, row + count);
    double sum = 0;
    for (std::size_t m = 0; m < up_to.size(); ++m) {
      check(std::isfinite(row[m]), ExitCode::kRuntime,
          "resampling: a logit that weighs proposals is {}; train the prior again with a smaller train.learning_rate",
          row[m]);
      up_to[m] = sum += std::exp(row[m] - largest);
    }
    const auto found = std::upper_bound(up_to.begin(), up_to.end(), uniform[b] * sum);
    out.push_back(std::min<std::int64_t>(found - up_to.begin(), count - 1));  // rounding of the product
  }
  return out;
}

std::vector<double> choice_uniforms(const ChainIds& ids, std::int64_t t) {
  std::vector<double> out;
  for (std::size_t b = 0; b < ids.item.size(); ++b) {
    const std::uint32_t word = draw_u32(ids.key(Purpose::kProposal),
        {.item = ids.item[b], .visit = ids.visit[b], .t = static_cast<std::uint32_t>(t), .k = 1});
    out.push_back(std::ldexp(static_cast<double>(word), -32));
  }
  return out;
}

}  // namespace hebm::prior
