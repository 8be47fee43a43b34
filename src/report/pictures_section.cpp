// Grids in samples/ that are of no experiment's own section.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <string_view>
#include "report/sections.h"
#include "results/scores.h"

namespace hebm::report {
namespace {

constexpr std::size_t kMaxProgress = 6;

struct Kind {
  std::string_view name;  // of the grid
  const char* caption;
};
constexpr std::array<Kind, 3> kKinds = {{
    {results::kGaussian, "Gaussian prior"},
    {results::kReconstruction, "Test images, reconstructions below"},
    {results::kOwn, "Ours: the diffusion EBM prior"},
}};

// Grids written while training: "step-0000400", "samples-000400".
bool is_progress(const Picture& picture) {
  const auto digits = picture.name.find_last_not_of("0123456789");
  return digits != std::string::npos && picture.name.size() - digits - 1 >= 3;
}

// Those that no experiment shows.
std::vector<const Picture*> general_pictures(const RunFolder& run) {
  std::vector<const Picture*> out;
  const auto sources = section_sources();
  for (const Picture& picture : run.pictures) {
    const bool taken = std::any_of(sources.begin(), sources.end(), [&](const SectionSource& source) {
      return !source.pictures.empty() && picture.name.starts_with(source.pictures);
    });
    if (!taken) out.push_back(&picture);
  }
  return out;
}

void add_group(Blocks& out, const char* heading, const std::string& note, const std::vector<const Picture*>& pictures) {
  if (pictures.empty()) return;
  out.push_back(Heading{heading});
  if (!note.empty()) out.push_back(soft(note));
  Figures figures{.figures = {}, .style = "pictures small"};
  for (const Picture* picture : pictures) figures.figures.push_back({*picture, picture->name});
  out.push_back(std::move(figures));
}

Blocks show(const RunFolder& run) {
  if (run.pictures.empty())
    return {missing("No pictures yet: `hebm_dist sample` and `evaluate` write `samples/*.png`.")};
  const auto grids = main_grids(run);
  Figures main;
  for (std::size_t i = 0; i < grids.size(); ++i) {
    if (grids[i] != nullptr) main.figures.push_back({*grids[i], kKinds[i].caption});
  }
  std::vector<const Picture*> progress, shown, others;
  for (const Picture* picture : general_pictures(run)) {
    if (std::find(grids.begin(), grids.end(), picture) == grids.end())
      (is_progress(*picture) ? progress : others).push_back(picture);
  }
  for (const std::size_t i : evenly(progress.size(), kMaxProgress)) shown.push_back(progress[i]);
  const std::string note =
      progress.size() > kMaxProgress ? fmt::format("{} of {} grids.", kMaxProgress, progress.size()) : "";
  Blocks out = {main};
  add_group(out, "While training, from the same noise", note, shown);
  add_group(out, "Others", "", others);
  return out;
}

}  // namespace

Figures figures_of(const RunFolder& run, const std::vector<std::pair<std::string, std::string>>& named) {
  Figures out;
  for (const auto& [name, caption] : named) {
    for (const Picture& picture : run.pictures) {
      if (picture.name == name) out.figures.push_back({picture, caption});
    }
  }
  return out;
}

std::array<const Picture*, 3> main_grids(const RunFolder& run) {
  std::array<const Picture*, 3> out{};
  for (const Picture* picture : general_pictures(run)) {
    const auto kind = std::ranges::find(kKinds, picture->name, &Kind::name);
    if (kind != kKinds.end()) out.at(static_cast<std::size_t>(kind - kKinds.begin())) = picture;
  }
  return out;
}

template <> SectionSource section<"pictures">() { return {"pictures", "Pictures", "Pictures", {}, "", show}; }

}  // namespace hebm::report
