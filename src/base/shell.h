// Words as a shell reads and writes them, for commands that are printed to be copied or given as
// one text.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hebm {

// Plain words stay as they are, others stand between single quotes: it's -> 'it'\''s'.
std::string shell_quote(std::string_view word);

// What blanks separate; quotes and backslashes hold a word together. Nothing is expanded: $ * ~ are
// characters. Error(kUsage) where a quote is not closed.
std::vector<std::string> shell_words(std::string_view text);

}  // namespace hebm
