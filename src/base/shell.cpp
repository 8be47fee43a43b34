#include "base/shell.h"
#include <algorithm>
#include <optional>
#include <utility>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"

namespace hebm {
namespace {

constexpr std::string_view kBlanks = " \t\n";

bool is_plain(char c) {
  const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || std::string_view("_./=:,@%+-").find(c) != std::string_view::npos;
}

}  // namespace

std::string shell_quote(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + '\'';
}

std::vector<std::string> shell_words(std::string_view text) {
  std::vector<std::string> out;
  std::optional<std::string> word;  // the one that is being read
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : '\0';
    const bool escapes =
        quote == 0 || (quote == '"' && std::string_view("\"\\$`").find(next) != std::string_view::npos);
    if (quote == 0 && kBlanks.find(c) != std::string_view::npos) {
      if (word) out.push_back(*std::exchange(word, std::nullopt));
      continue;
    }
    if (!word) word.emplace();
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && escapes && next != '\0') {
      *word += text[++i];
    } else {
      *word += c;
    }
  }
  check(quote == 0, ExitCode::kUsage, "a quote ({}) is not closed in: {}", quote, printable(text));
  if (word) out.push_back(*word);
  return out;
}

}  // namespace hebm
