// `--preset NAME`: the configurations that come with the program (configs/NAME.ini).
#pragma once
#include <string>

namespace hebm::detail {

// The file of a preset: in share/hebm_dist/configs beside the program's folder, else in the sources
// it was built from. Error(kUsage) naming what there is.
std::string preset_file(const std::string& name);

}  // namespace hebm::detail
