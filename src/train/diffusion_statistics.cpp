// What an update of Algorithm 1 is judged by and logged with.
#include <fmt/format.h>

#include <utility>

#include "train/diffusion.h"

namespace hebm::train {

std::string DiffusionObjective::judge(const Update& update, const std::string& of_gradients) {
  return of_gradients.empty() ? monitor_.observe(update.number, gaps(), counts()) : of_gradients;
}

std::vector<double> DiffusionObjective::counts() const {
  std::vector<double> out;
  for (std::size_t t = 0; t < step_variances_.size(); ++t) out.push_back(record_.at(kCount, t));
  return out;
}

std::vector<double> DiffusionObjective::gaps() const {
  std::vector<double> out = counts();
  for (std::size_t t = 0; t < out.size(); ++t) {
    const double count = std::exchange(out[t], 0.0);
    for (std::size_t field = kTerms; count > 0.0 && field < kTerms + 2 * num_terms_; field += 2)
      out[t] += (record_.at(field, t) - record_.at(field + 1, t)) / count;
  }
  return out;
}

std::string DiffusionObjective::progress(const Report& report) const {
  std::string out = fmt::format("{:.2f} s/update, gap by t:", report.update_s);
  for (const double gap : gaps()) out += fmt::format(" {:.3g}", gap);
  return out;
}

storage::Scalars DiffusionObjective::describe(const Report& report) const {
  storage::Scalars out = {{"seconds/update", report.update_s},
                          {"seconds/sum_total", report.sum_waited_s},
                          {"seconds/data_wait_total", source_->waited_s()},
                          {"seconds/unit_median", report.unit_median_s},
                          {"seconds/unit_slowest", report.unit_slowest_s},
                          {"sum/bytes", report.sum_bytes}};
  if (device_.is_cpu()) out.emplace_back("seconds/chain", record_.at(kChainSeconds) / num_ranks_);
  double loss = 0, images = 0;
  const auto gap = gaps(), count = counts();
  for (std::size_t t = 0; t < count.size(); ++t) {
    images += count[t];
    if (count[t] == 0.0) continue;
    loss -= count[t] * gap[t] * step_variances_[t] * level_weights_[t];
    out.emplace_back(fmt::format("gap/t{}", t), gap[t]);
    out.emplace_back(fmt::format("displacement/t{}", t), record_.at(kDisplacement, t) / count[t]);
    for (std::size_t i = 0; i < prior_.num_layers(); ++i) {
      out.emplace_back(fmt::format("positive/layer{}/t{}", i, t), record_.at(kTerms + 2 * i, t) / count[t]);
      out.emplace_back(fmt::format("negative/layer{}/t{}", i, t), record_.at(kTerms + 2 * i + 1, t) / count[t]);
    }
  }
  out.emplace_back("loss", images > 0 ? loss / images : 0.0);
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const std::string& prefix = buckets_[b].prefix;  // ends with a dot
    if (active_[b]) out.emplace_back("gradient_norm/" + prefix.substr(0, prefix.size() - 1), report.gradient_norms[b]);
  }
  return out;
}

}  // namespace hebm::train
