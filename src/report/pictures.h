// Pictures as parts of the page, within a budget of bytes for all of them.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "report/run_folder.h"

namespace hebm::report {

// Bytes of PNG: the page stays below about 2 MB.
class PictureBudget {
 public:
  bool take(const Picture& picture);

 private:
  std::size_t left_ = 1100 << 10;
};

// A <figure>; beyond the budget it says where the file is: folder is that of the picture, seen from
// the page.
std::string figure(const Picture& picture, const std::string& caption, PictureBudget& budget,
                   const std::string& folder = "samples");

// The grids of the Gaussian prior, of reconstructions, and of the learned prior, by their names;
// null where there is none. No picture twice.
std::array<const Picture*, 3> main_grids(const RunFolder& run);

// Pictures that belong to an experiment's own section: transition-*, vary-*, temperature-*,
// labels-*, compose-*.
bool of_an_experiment(const Picture& picture);
std::vector<const Picture*> pictures_named(const RunFolder& run, const std::string& prefix);

}  // namespace hebm::report
