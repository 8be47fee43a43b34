#include "results/experiments.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include "results/table.h"

namespace hebm::results {
namespace {

constexpr const char *kWhole = "{:.0f}", *kTwo = "{:.2f}", *kThree = "{:.3f}", *kFour = "{:.4f}";

}  // namespace

std::string text_of(const Transition& result) {
  Table out{{{"t", kWhole, 3}, {"k", kWhole, 7}, {"energy", kTwo, 12}, {"displacement", kThree, 12},
      {"fd_posterior", kTwo, 13}, {"fd_fmnist", kTwo, 10}, {"black", kThree, 7}, {"white", kThree, 7}}};
  for (const ChainLevel& level : result.levels) {
    for (const ChainState& s : level.states)
      out.rows.push_back({number(level.t), number(s.k), s.energy, s.displacement, s.fd_posterior, s.fd_fmnist,
          s.saturated.black, s.saturated.white});
  }
  return text(out) +
         fmt::format("training images: black {:.3f}, white {:.3f}\n", result.training.black, result.training.white);
}

std::string text_of(const Labels& result) {
  Table out{{{"label", "", 16, Align::kLeft}, {"layers", "", 12, Align::kLeft}, {"p(y|u_0)", kFour, 8},
      {"classifier", kFour, 10}, {"drawn as", kFour, 9}, {"fd_fmnist", kTwo, 10}, {"ratio", kThree, 8},
      {"imbalance", kThree, 10}}};
  for (const LabelHead& h : result.heads)
    out.rows.push_back({h.name, fmt::format("{}", fmt::join(h.layers, ",")), h.test.accuracy, h.test.reader_accuracy,
        h.drawn.accuracy, h.drawn.fd_fmnist, h.drawn.fd_fmnist_ratio, h.imbalance_without_label});
  return text(out) + fmt::format("without a label: fd_fmnist {:.2f} of {} images\n", result.fd_fmnist_without_label,
                         result.num_samples.value_or(0));
}

std::string text_of(const Compose& result) {
  Table out{{{"step", kWhole, 4}, {"label", "", 16, Align::kLeft, 2}, {"asked in", kWhole, 8}, {"accuracy", kThree, 9},
      {"kept", kThree, 6}, {"fd_fmnist", kTwo, 10}}};
  for (const ComposeStep& step : result.steps) {
    for (const ComposeLabel& label : step.labels)
      out.rows.push_back(
          {number(step.step), label.name, number(label.asked_in_step), label.accuracy, label.kept, step.fd_fmnist});
  }
  return text(out);
}

OodRow Ood::find(OodScheme scheme, const Count& k) const {
  const auto it = std::find_if(rows.begin(), rows.end(),
      [&](const OodRow& row) { return row.scheme == scheme && (scheme == OodScheme::kElbo || row.k == k); });
  return it == rows.end() ? OodRow() : *it;
}

std::string text_of(const Ood& result) {
  Table out{{{"score", "", 10, Align::kLeft}, {"k", kWhole, 3}, {"AUROC [95 % interval]", "", 24, Align::kLeft, 2},
      {"AUPR", kFour, 6}, {"FPR95", kFour, 6}}};
  for (const OodRow& row : result.rows)
    out.rows.push_back({std::string(name_of(row.scheme)), number(row.k),
        fmt::format("{:.4f} [{:.4f}, {:.4f}]", row.auroc, row.auroc_low, row.auroc_high), row.aupr, row.fpr95});
  return fmt::format("{} test images each of {} (in) and {} (out, the positive class); {} latent layers\n",
             result.in.num_images.value_or(0), result.in.name, result.out.name, result.num_layers.value_or(0)) +
         text(out);
}

}  // namespace hebm::results
