// Text for HTML and SVG. Whatever comes from files or users goes through escape().
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hebm::report {

// & < > " ' become entities; control characters and bytes that are not UTF-8 become U+FFFD. Safe in
// text and quoted attributes.
std::string escape(std::string_view text);
std::string base64(std::string_view bytes);
// Four significant digits: "0.01234", "37.41", "1.235e+06"; "-" for NaN, "inf".
std::string format_number(double value);
// "2026-01-31 12:00:00 UTC"; the number itself where it is no date of this era.
std::string utc(double seconds);

std::string_view style_sheet();

}  // namespace hebm::report
