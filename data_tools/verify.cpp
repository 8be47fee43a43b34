// hebm_data verify: recomputes the hash of a data set's pixels.
#include <fmt/core.h>
#include <iostream>
#include "base/options.h"
#include "commands.h"
#include "data/dataset.h"

namespace hebm::data_tools {

void run_verify(std::span<const std::string> args) {
  std::string path;
  Options options("hebm_data verify FILE.h5",
      "Recomputes the hash of a data set's pixels; exit code 4 when it differs from the recorded one.");
  options.add_positional("FILE.h5", &path, "data set", true);
  if (options.parse(args) == Options::Action::kHelpShown) return;
  const data::Dataset set = data::Dataset::open(path);
  set.verify();
  std::cout << fmt::format("{}: ok, {} images, images_hash {}\n", path, set.size(), set.images_hash());
}

}  // namespace hebm::data_tools
