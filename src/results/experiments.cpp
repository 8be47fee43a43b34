#include "results/experiments.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include "results/ood.h"
#include "results/table.h"

namespace hebm::results {
namespace {

constexpr const char *kWhole = "{:.0f}", *kTwo = "{:.2f}", *kThree = "{:.3f}", *kFour = "{:.4f}";

// A state with the level that it belongs to.
struct LevelState {
  Count t;
  ChainState state;
};

struct StepLabel {
  const ComposeStep* step;
  ComposeLabel label;
};

std::string scheme_name(OodScheme scheme) { return names_of(scheme)[static_cast<std::size_t>(scheme)]; }

std::string with_interval(const OodRow& row) {
  return fmt::format("{:.4f} [{:.4f}, {:.4f}]", row.auroc, row.auroc_low, row.auroc_high);
}

}  // namespace

std::string text_of(const Vary& result) {
  return text(tabulate<VarySet>({{{"free layers", "", 12}, [](const VarySet& s) { return s.name; }},
                                    {{"feature distance", kThree, 18}, &VarySet::feature_distance},
                                    {{"class changed", kThree, 14}, &VarySet::class_changed}},
      result.sets));
}

std::string text_of(const Transition& result) {
  std::vector<LevelState> rows;
  for (const ChainLevel& level : result.levels) {
    for (const ChainState& state : level.states) rows.push_back({level.t, state});
  }
  const std::vector<ColumnOf<LevelState>> columns = {{{"t", kWhole, 3}, [](const auto& r) { return number(r.t); }},
      {{"k", kWhole, 7}, [](const auto& r) { return number(r.state.k); }},
      {{"energy", kTwo, 12}, [](const auto& r) { return r.state.energy; }},
      {{"displacement", kThree, 12}, [](const auto& r) { return r.state.displacement; }},
      {{"fd_fmnist", kTwo, 10}, [](const auto& r) { return r.state.fd_fmnist; }},
      {{"black", kThree, 7}, [](const auto& r) { return r.state.saturated.black; }},
      {{"white", kThree, 7}, [](const auto& r) { return r.state.saturated.white; }}};
  return text(tabulate(columns, rows)) +
         fmt::format("training images: black {:.3f}, white {:.3f}\n", result.training.black, result.training.white);
}

std::string text_of(const Labels& result) {
  const std::vector<ColumnOf<LabelHead>> columns = {
      {{"label", "", 16, Align::kLeft}, [](const auto& h) { return h.name; }},
      {{"layers", "", 12, Align::kLeft}, [](const auto& h) { return fmt::format("{}", fmt::join(h.layers, ",")); }},
      {{"p(y|u_0)", kFour, 8}, [](const auto& h) { return h.test.accuracy; }},
      {{"classifier", kFour, 10}, [](const auto& h) { return h.test.reader_accuracy; }},
      {{"drawn as", kFour, 9}, [](const auto& h) { return h.drawn.accuracy; }},
      {{"fd_fmnist", kTwo, 10}, [](const auto& h) { return h.drawn.fd_fmnist; }},
      {{"ratio", kThree, 8}, [](const auto& h) { return h.drawn.fd_fmnist_ratio; }},
      {{"imbalance", kThree, 10}, [](const auto& h) { return h.imbalance_without_label; }}};
  return text(tabulate(columns, result.heads)) + fmt::format("without a label: fd_fmnist {:.2f} of {} images\n",
                                                     result.fd_fmnist_without_label, result.num_samples.value_or(0));
}

std::string text_of(const Compose& result) {
  std::vector<StepLabel> rows;
  for (const ComposeStep& step : result.steps) {
    for (const ComposeLabel& label : step.labels) rows.push_back({&step, label});
  }
  const std::vector<ColumnOf<StepLabel>> columns = {
      {{"step", kWhole, 4}, [](const auto& r) { return number(r.step->step); }},
      {{"label", "", 16, Align::kLeft, 2}, [](const auto& r) { return r.label.name; }},
      {{"asked in", kWhole, 8}, [](const auto& r) { return number(r.label.asked_in_step); }},
      {{"accuracy", kThree, 9}, [](const auto& r) { return r.label.accuracy; }},
      {{"kept", kThree, 6}, [](const auto& r) { return r.label.kept; }},
      {{"fd_fmnist", kTwo, 10}, [](const auto& r) { return r.step->fd_fmnist; }}};
  return text(tabulate(columns, rows));
}

const OodRow* Ood::find(OodScheme scheme, const Count& k) const {
  const auto it = std::find_if(rows.begin(), rows.end(),
      [&](const OodRow& row) { return row.scheme == scheme && (scheme == OodScheme::kElbo || row.k == k); });
  return it == rows.end() ? nullptr : &*it;
}

std::string text_of(const Ood& result) {
  const std::vector<ColumnOf<OodRow>> columns = {
      {{"score", "", 10, Align::kLeft}, [](const auto& r) { return scheme_name(r.scheme); }},
      {{"k", kWhole, 3}, [](const auto& r) { return number(r.k); }},
      {{"AUROC [95 % interval]", "", 24, Align::kLeft, 2}, [](const auto& r) { return with_interval(r); }},
      {{"AUPR", kFour, 6}, [](const auto& r) { return r.aupr; }},
      {{"FPR95", kFour, 6}, [](const auto& r) { return r.fpr95; }}};
  return fmt::format("{} test images each of {} (in) and {} (out, the positive class); {} latent layers\n",
             result.in.num_images.value_or(0), result.in.name, result.out.name, result.num_layers.value_or(0)) +
         text(tabulate(columns, result.rows));
}

}  // namespace hebm::results
