#include <fmt/chrono.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include "report/page.h"

namespace hebm::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// With U+FFFD for what is not UTF-8.
std::string as_utf8(std::string_view text) {
  using Json = nlohmann::json;
  const std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

constexpr std::array<std::pair<char, std::string_view>, 5> kEntities = {
    {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}}};

// Line colours: Okabe & Ito's set, safe for colour-blind readers, darkened where white paper needs
// it and lightened for dark screens.
constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--rule:#d8dde3;--panel:#f5f7f9;--accent:#0072b2;
--c0:#0072b2;--c1:#d55e00;--c2:#00805e;--c3:#b8578c;--c4:#b87a00;--c5:#3a9bd6;--c6:#6b6b00;--c7:#555b62}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e8eaed;--soft:#a3acb6;--rule:#363c44;--panel:#1c2127;--accent:#56b4e9;
--c0:#56b4e9;--c1:#ff8a4c;--c2:#2fc79a;--c3:#ee9cc8;--c4:#f2bd4a;--c5:#a9d9ff;--c6:#e3da62;--c7:#c4cbd3}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1120px;padding:20px 20px 60px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.7em;line-height:1.2;margin:.3em 0 .1em}h2{font-size:1.25em;margin:2em 0 .5em;border-bottom:1px solid var(--rule);padding-bottom:.2em}
h3{font-size:1em;margin:1.4em 0 .4em}p{margin:.5em 0;max-width:75ch}
.soft,.missing{color:var(--soft)}.missing{border-left:3px solid var(--rule);padding-left:.7em}
.problems{border-left:3px solid var(--c1);padding-left:.7em}.problems ul{margin:.2em 0;padding-left:1.2em}
nav{font-size:.92em;margin:.6em 0;display:flex;flex-wrap:wrap;gap:.2em 1.1em}nav a{color:var(--accent);text-decoration:none}
.figures{display:flex;flex-wrap:wrap;gap:10px;margin:1em 0}.figures div{background:var(--panel);border-radius:6px;padding:.5em .9em;flex:1 1 120px}
.figures b{display:block;font-size:1.45em;line-height:1.25;font-variant-numeric:tabular-nums}.figures span{font-size:.85em;color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.93em;font-variant-numeric:tabular-nums}
th,td{padding:.28em .8em .28em 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{font-weight:600}td.n,th.n{text-align:right;white-space:nowrap}tr.ours td{font-weight:600}
.bar{display:inline-block;height:.7em;border-radius:2px;min-width:2px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.columns{columns:330px;column-gap:28px}.columns section{break-inside:avoid;margin-bottom:.9em}.columns h3{margin:.2em 0}
.columns table{font-size:.82em;width:100%;table-layout:fixed}.columns td{overflow-wrap:anywhere;padding-right:.5em}
.columns td:first-child{width:40%}.changed td{font-weight:600}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,250px),1fr));gap:18px;align-items:end}
.pictures.small{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}.pictures.small figure{max-width:340px}
.beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:8px 28px;align-items:end}.beside section{break-inside:avoid}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,200px),1fr));gap:14px;align-items:end}td a,h3 a{color:var(--accent)}table.index th{white-space:normal}
figure{margin:0;break-inside:avoid}figcaption{font-size:.9em;margin-bottom:.3em}
figure img{width:100%;height:auto;display:block;image-rendering:pixelated;border-radius:3px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:16px 24px}
svg.plot{width:100%;height:auto;display:block;font-size:12px;break-inside:avoid}
svg.plot text{fill:var(--fg)}svg.plot .title{font-size:13px;font-weight:600}svg.plot .label,svg.plot .note,svg.plot .value{fill:var(--soft)}
svg.plot .note{font-size:10.5px}svg.plot path{fill:none}svg.plot .grid{stroke:var(--rule);stroke-width:.8}
svg.plot .axis,svg.plot .tick{stroke:var(--soft);stroke-width:1}
svg.plot .line{stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}svg.plot .raw{stroke-width:.9;opacity:.3}
pre{background:var(--panel);padding:.7em .9em;border-radius:6px;font-size:.85em;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4em 0 1em}
@media (max-width:520px){body{padding:12px 12px 40px;font-size:15px}h1{font-size:1.4em}table{font-size:.85em}th,td{padding-right:.6em}.figures div{flex-basis:40%}.bars{display:none}}
@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--soft:#444;--rule:#bbb;--panel:#f2f2f2;--accent:#000;
--c0:#0072b2;--c1:#d55e00;--c2:#00805e;--c3:#b8578c;--c4:#b87a00;--c5:#3a9bd6;--c6:#6b6b00;--c7:#555b62}
@page{margin:14mm}body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}.wide{overflow:visible}
.plots{grid-template-columns:1fr 1fr}.pictures{grid-template-columns:repeat(3,1fr)}.pictures.small{grid-template-columns:repeat(6,1fr)}
.beside{grid-template-columns:1fr}.pair{grid-template-columns:1fr 1fr}table.index{font-size:.8em}.bars{display:none}table{font-size:.86em}th,td{padding-right:.5em}h2,h3{break-after:avoid}tr{break-inside:avoid}}
)css";

}  // namespace

std::string_view style_sheet() { return kStyle; }

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : as_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    const auto entity = std::ranges::find(kEntities, c, &std::pair<char, std::string_view>::first);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
      out += kReplacement;
    } else if (entity == kEntities.end()) {
      out += c;
    } else {
      out += entity->second;
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63u] : '=';
    }
  }
  return out;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "-";
  if (value == 0.0) return "0";  // not "-0"
  return fmt::format("{:.4g}", value);
}

std::string utc(double seconds) {
  if (!(seconds >= 0 && seconds <= 1e11)) return format_number(seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::vector<std::size_t> evenly(std::size_t count, std::size_t most) {
  std::vector<std::size_t> out;
  const std::size_t shown = std::min(count, most);
  for (std::size_t i = 0; i < shown; ++i) out.push_back(shown == 1 ? 0 : i * (count - 1) / (shown - 1));
  return out;
}

}  // namespace hebm::report
