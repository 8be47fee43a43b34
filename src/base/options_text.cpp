#include "base/options_text.h"
#include <fmt/ranges.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include "base/error.h"
#include "base/printable.h"
#include "base/text.h"

namespace hebm::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 1 << 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_name(std::string_view text) {
  constexpr std::string_view kMay = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !text.empty() && text.find_first_not_of(kMay) == std::string_view::npos;
}

// What stands behind a backslash, and what is meant by it.
constexpr std::pair<char, char> kEscapes[] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'"', '"'}, {'\\', '\\'}};

// `text` starts behind the opening quote; *end is where the closing one stands. Nothing if it is
// not closed or an escape is unknown.
std::optional<std::string> unquote(std::string_view text, std::size_t* end) {
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      *end = i;
      return value;
    }
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const auto escape = std::ranges::find(kEscapes, text[i], &std::pair<char, char>::first);
    if (escape == std::end(kEscapes)) return std::nullopt;
    value += escape->second;
  }
  return std::nullopt;
}

std::string_view without_comment(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#' && (i == 0 || is_blank(text[i - 1]))) return trim(text.substr(0, i));
  }
  return trim(text);
}

// Right of the equals sign.
std::string parse_value(const std::string& file, int line, std::string_view text) {
  text = trim(text);
  if (text.empty() || text[0] != '"') return std::string(without_comment(text));
  std::size_t end = 0;
  const std::optional<std::string> value = unquote(text.substr(1), &end);
  check(value.has_value(), ExitCode::kUsage,
      "{}:{}: the quoted value {} is not closed or has an escape other than "
      "\\\" \\\\ \\n \\t \\r",
      file, line, printable(text));
  const std::string_view rest = trim(text.substr(end + 2));
  check(rest.empty() || rest[0] == '#', ExitCode::kUsage, "{}:{}: '{}' follows the quoted value; only a comment may",
      file, line, printable(rest));
  return *value;
}

std::string parse_section(const std::string& file, int line, std::string_view text) {
  const std::size_t close = text.find(']');
  check(close != std::string_view::npos, ExitCode::kUsage, "{}:{}: the section header '{}' has no ]", file, line,
      printable(text));
  const std::string_view rest = trim(text.substr(close + 1)), name = trim(text.substr(1, close - 1));
  check(is_name(name) && (rest.empty() || rest[0] == '#' || rest[0] == ';'), ExitCode::kUsage,
      "{}:{}: '{}' is not a section header like [langevin]", file, line, printable(text));
  return std::string(name);
}

}  // namespace

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return is_blank(c) || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

std::optional<bool> parse_bool(std::string_view text) {
  constexpr std::string_view kYes[] = {"true", "1", "yes", "on"}, kNo[] = {"false", "0", "no", "off"};
  const bool yes = std::ranges::find(kYes, trim(text)) != std::end(kYes);
  const bool no = std::ranges::find(kNo, trim(text)) != std::end(kNo);
  return yes || no ? std::optional(yes) : std::nullopt;
}

std::string quote(std::string_view value) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\x7f'; };
  const bool bare = !value.empty() && std::all_of(value.begin(), value.end(), plain) &&
                    value == without_comment(value) && value == trim(value);
  if (bare) return std::string(value);
  std::string text = "\"";
  for (const char c : value) {
    const auto escape = std::ranges::find(kEscapes, c, &std::pair<char, char>::second);
    text += escape == std::end(kEscapes) ? std::string(1, c) : std::string{'\\', escape->first};
  }
  return text + '"';
}

std::vector<IniEntry> parse_ini(const std::string& file, std::string_view text) {
  check(text.find('\0') == std::string_view::npos, ExitCode::kUsage,
      "{}: has a zero byte, so it is not a configuration file", file);
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // byte-order mark of some editors
  std::vector<IniEntry> entries;
  std::map<std::string, int> first_line;
  std::string section;
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    const std::string_view content = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content[0] == '[') {
      section = parse_section(file, line, content);
      continue;
    }
    const std::size_t equals = content.find('=');
    const std::string_view name = trim(content.substr(0, equals));
    check(equals != std::string_view::npos && is_name(name), ExitCode::kUsage,
        "{}:{}: '{}' is neither [section] nor name = value nor a # comment", file, line, printable(content));
    check(!section.empty(), ExitCode::kUsage, "{}:{}: '{}' stands before the first [section]", file, line,
        printable(name));
    IniEntry entry{section + '.' + std::string(name), parse_value(file, line, content.substr(equals + 1)), line};
    const auto [first, fresh] = first_line.emplace(entry.key, line);
    check(fresh, ExitCode::kUsage, "{}:{}: {} was already set in line {}; remove one of the two", file, line,
        printable(entry.key), first->second);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string read_config_file(const std::string& path) {
  const std::string shown = printable(path);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::exists(status), ExitCode::kUsage, "--config {}: cannot open: {}", shown, error.message());
  check(fs::is_regular_file(status), ExitCode::kUsage, "--config {}: not a regular file", shown);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), ExitCode::kUsage, "--config {}: cannot open: {}", shown, std::strerror(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), std::ssize(text));
  check(!file.bad(), ExitCode::kUsage, "--config {}: cannot read: {}", shown, std::strerror(errno));
  text.resize(static_cast<std::size_t>(file.gcount()));
  check(text.size() <= kMaxFileBytes, ExitCode::kUsage, "--config {}: more than {} bytes; is it a configuration file?",
      shown, kMaxFileBytes);
  return text;
}

std::string preset_file(const std::string& name) {
  std::vector<fs::path> folders;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) folders.push_back(program.parent_path().parent_path() / "share" / "hebm_dist" / "configs");
  folders.emplace_back(HEBM_CONFIGS);  // of the sources; set by CMake for this file
  std::vector<std::string> there;
  for (const fs::path& folder : folders) {
    if (!there.empty()) break;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      if (entry.path().extension() != ".ini") continue;
      there.push_back(entry.path().stem().string());
      if (there.back() == name) return entry.path().string();
    }
  }
  std::ranges::sort(there);
  fail(
      ExitCode::kUsage, "--preset {}: there is no such preset; there are: {}", printable(name), fmt::join(there, ", "));
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& names) {
  constexpr std::size_t kMaxMeant = 100;
  if (text.size() > kMaxMeant) return std::nullopt;
  std::optional<std::string> best;
  // At most 2 edits, a third of a long name, and never every letter of it.
  std::size_t best_distance = std::min(text.size(), std::max<std::size_t>(2, text.size() / 3) + 1);
  for (const std::string& name : names) {
    std::size_t distance = edit_distance(text, name);
    const std::size_t dot = name.rfind('.');
    if (dot != std::string::npos && text.find('.') == std::string_view::npos) {
      distance = std::min(distance, edit_distance(text, std::string_view(name).substr(dot + 1)));
    }
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace hebm::detail
