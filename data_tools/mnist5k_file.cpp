#include "mnist5k_file.h"
#include <zlib.h>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include "base/error.h"
#include "base/printable.h"

namespace hebm::data_tools {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{32} << 20;  // 5,000 lines of 785 numbers of 3 digits are 15 MiB

std::string read_text(const std::string& name) {
  std::error_code error;
  check(std::filesystem::exists(name, error), ExitCode::kUsage,
      "{}: no such file; `hebm_data import-mnist5k --help` says where to take it from", name);
  check(std::filesystem::is_regular_file(name, error), ExitCode::kUsage,
      "{}: expected a file, got a folder or a device", name);
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(name.c_str(), "rb"), gzclose);
  check(file != nullptr, ExitCode::kRuntime, "{}: cannot open for reading", name);
  std::string text(kMaxBytes + 1, '\0');
  const int got = gzread(file.get(), text.data(), static_cast<unsigned>(text.size()));
  int code = Z_OK;
  const std::string why = gzerror(file.get(), &code);
  check(got >= 0 && (code == Z_OK || code == Z_STREAM_END), ExitCode::kCorrupt,
      "{}: truncated or damaged gzip data: {}", name, why);
  check(static_cast<std::size_t>(got) <= kMaxBytes, ExitCode::kCorrupt,
      "{}: expected at most {} bytes of text, got more", name, kMaxBytes);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

class Parser {
 public:
  Parser(const std::string& name, std::string_view text) : name_(name), rest_(text) {}

  // The next whole number, 0 .. max, and the character behind it.
  std::int64_t number(std::size_t line, std::size_t column, std::int64_t max, char end) {
    std::int64_t value = -1;
    const auto [after, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    const bool whole =
        error == std::errc() && after != rest_.data() + rest_.size() && *after == end && value >= 0 && value <= max;
    check(whole, ExitCode::kCorrupt,
        "{}: line {}, column {}: expected a whole number of 0 to {} and then {}, got \"{}\"", name_, line + 1,
        column + 1, max, end == ',' ? "a comma" : "the end of the line", printable(rest_.substr(0, 12)));
    rest_.remove_prefix(static_cast<std::size_t>(after - rest_.data()) + 1);
    return value;
  }
  bool at_end() const { return rest_.empty(); }
 private:
  const std::string& name_;
  std::string_view rest_;
};

}  // namespace

Mnist5k read_mnist5k(const std::filesystem::path& path) {
  const std::string name = path.string(), text = read_text(name);
  Parser parser(name, text);
  Mnist5k out;
  out.pixels.reserve(Mnist5k::kImages * Mnist5k::kPixels);
  for (std::size_t line = 0; line < Mnist5k::kImages; ++line) {
    check(
        !parser.at_end(), ExitCode::kCorrupt, "{}: truncated: expected {} lines, got {}", name, Mnist5k::kImages, line);
    for (std::size_t column = 0; column < Mnist5k::kPixels; ++column) {
      out.pixels.push_back(static_cast<std::uint8_t>(parser.number(line, column, 255, ',')));
    }
    out.labels.push_back(parser.number(line, Mnist5k::kPixels, 9, '\n'));
  }
  check(parser.at_end(), ExitCode::kCorrupt, "{}: expected {} lines, got more", name, Mnist5k::kImages);
  return out;
}

}  // namespace hebm::data_tools
