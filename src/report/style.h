// The page's style sheet.
#pragma once
#include <string_view>

namespace hebm::report {

std::string_view style_sheet();

}  // namespace hebm::report
