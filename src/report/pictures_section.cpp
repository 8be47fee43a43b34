#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "report/html.h"
#include "report/pictures.h"
#include "report/sections.h"

namespace hebm::report {
namespace {

constexpr std::size_t kMaxOne = 400 << 10;  // bytes of a PNG
constexpr std::size_t kMaxProgress = 6;
constexpr std::array<std::string_view, 5> kExperiments = {"transition-", "vary-", "temperature-", "labels-",
                                                          "compose-"};

struct Kind {
  std::array<std::string_view, 3> words;
  const char* caption;
};
constexpr std::array<Kind, 3> kKinds = {{
    {{"gaussian", "gaussian", "gaussian"}, "Gaussian prior"},
    {{"reconstruct", "recon", "original"}, "Test images, reconstructions below"},
    {{"diffusion", "ours", "samples"}, "Ours: the diffusion EBM prior"},
}};

bool has_word(const std::string& name, std::string_view word) { return name.find(word) != std::string::npos; }

// Grids written while training: "step-0000400", "samples-000400".
bool is_progress(const std::string& name) {
  const auto digits = name.find_last_not_of("0123456789");
  return digits != std::string::npos && name.size() - digits - 1 >= 3;
}

const Picture* find_kind(const RunFolder& run, const Kind& kind) {
  for (const std::string_view word : kind.words) {
    for (const Picture& picture : run.pictures) {
      if (!is_progress(picture.name) && !of_an_experiment(picture) && has_word(picture.name, word)) return &picture;
    }
  }
  return nullptr;
}

std::string group(const std::string& heading, const std::string& note, const std::string& figures) {
  if (figures.empty()) return {};
  return fmt::format("<h3>{}</h3>\n{}<div class=\"pictures small\">{}</div>\n", heading, note, figures);
}

}  // namespace

bool PictureBudget::take(const Picture& picture) {
  if (picture.bytes.size() > kMaxOne || picture.bytes.size() > left_) return false;
  left_ -= picture.bytes.size();
  return true;
}

std::string figure(const Picture& picture, const std::string& caption, PictureBudget& budget,
                   const std::string& folder) {
  std::string out = fmt::format("<figure><figcaption>{}</figcaption>", escape(caption));
  if (budget.take(picture)) {
    out += fmt::format("<img alt=\"{}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">", escape(caption),
                       picture.width, picture.height, base64(picture.bytes));
  } else {
    out += missing(fmt::format("Too large for this page ({} KiB): see {}/{}.png", picture.bytes.size() >> 10,
                               escape(folder), escape(picture.name)));
  }
  return out + "</figure>\n";
}

bool of_an_experiment(const Picture& picture) {
  return std::any_of(kExperiments.begin(), kExperiments.end(),
                     [&](std::string_view prefix) { return picture.name.starts_with(prefix); });
}

std::vector<const Picture*> pictures_named(const RunFolder& run, const std::string& prefix) {
  std::vector<const Picture*> out;
  for (const Picture& picture : run.pictures) {
    if (picture.name.starts_with(prefix)) out.push_back(&picture);
  }
  return out;
}

std::array<const Picture*, 3> main_grids(const RunFolder& run) {
  std::array<const Picture*, 3> out{};
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const Picture* picture = find_kind(run, kKinds[i]);
    if (std::find(out.begin(), out.end(), picture) == out.end()) out[i] = picture;
  }
  return out;
}

std::string pictures_section(const RunFolder& run, PictureBudget& budget) {
  std::string out = "<h2 id=\"pictures\">Pictures</h2>\n";
  if (run.pictures.empty()) {
    return out + missing(
                     "No pictures yet: <code>hebm_dist sample</code> and <code>evaluate</code> write "
                     "<code>samples/*.png</code>.");
  }
  const auto grids = main_grids(run);
  std::string main;
  for (std::size_t i = 0; i < grids.size(); ++i) {
    if (grids[i] != nullptr) main += figure(*grids[i], kKinds[i].caption, budget);
  }
  if (!main.empty()) out += "<div class=\"pictures\">" + main + "</div>\n";
  std::vector<const Picture*> progress, others;
  for (const Picture& picture : run.pictures) {
    if (of_an_experiment(picture) || std::find(grids.begin(), grids.end(), &picture) != grids.end()) continue;
    (is_progress(picture.name) ? progress : others).push_back(&picture);
  }
  std::string figures;
  const std::size_t shown = std::min(progress.size(), kMaxProgress);
  for (std::size_t i = 0; i < shown; ++i) {
    const Picture& picture = *progress[shown == 1 ? progress.size() - 1 : i * (progress.size() - 1) / (shown - 1)];
    figures += figure(picture, picture.name, budget);
  }
  const std::string note =
      progress.size() > shown ? fmt::format("<p class=\"soft\">{} of {} grids.</p>\n", shown, progress.size()) : "";
  out += group("While training, from the same noise", note, figures);
  figures.clear();
  for (const Picture* picture : others) figures += figure(*picture, picture->name, budget);
  return out + group("Others", "", figures);
}

}  // namespace hebm::report
