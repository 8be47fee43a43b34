#include "base/status.h"
#include <fmt/chrono.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <utility>
#include "base/error.h"
#include "base/printable.h"

namespace hebm {
namespace {

constexpr double kWholeLineEvery_s = 30, kRewriteEvery_s = 0.1;

// Standard error is the last place to report to: what it does not take is lost.
void put(std::string_view text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
  static_cast<void>(std::fflush(stderr));
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

std::string one_line(std::string_view message) {
  std::string text(message);
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return terminal_text(text);
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  return localtime_r(&now, &parts) == nullptr ? "?" : fmt::format("{:%F %T}", parts);
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  if (seconds > 3.2e11) return "over 10000 years";  // also keeps the conversion below defined
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  const std::int64_t minutes = (whole + 30) / 60;
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string format_bytes(double bytes) {
  if (!std::isfinite(bytes)) return "?";
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (std::abs(bytes) < 1023.5) return fmt::format("{:.0f} B", bytes);
  std::size_t unit = 0;
  double value = bytes / 1024;
  while (std::abs(value) >= 1023.95 && unit + 1 < std::size(kUnits)) value /= 1024, ++unit;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

Logger::Logger(bool loud) : loud_(loud), terminal_(::isatty(STDERR_FILENO) == 1) {}

Logger::~Logger() {
  clear_status();
  close_file();
}

void Logger::close_file() {
  if (file_ != nullptr && std::fclose(file_) != 0)
    put(terminal_text(fmt::format("warning: {}: {}\n", path_, std::strerror(errno))));
  file_ = nullptr;
}

void Logger::open_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "ae");
  check(file != nullptr, ExitCode::kRuntime, "cannot open the log {}: {}", path, std::strerror(errno));
  close_file();
  file_ = file;
  path_ = path;
}

void Logger::write(std::string_view message) {
  const std::string line = one_line(message);
  if (loud_) put_line(line);
  if (file_ == nullptr) return;
  const std::string text = fmt::format("{}  {}\n", time_of_day(), line);
  if (std::fwrite(text.data(), 1, text.size(), file_) == text.size() && std::fflush(file_) == 0) return;
  const int error = errno;
  static_cast<void>(std::fclose(std::exchange(file_, nullptr)));  // it failed already
  put_line(one_line(
      fmt::format("warning: cannot write the log {}: {}; it ends here, the run goes on", path_, std::strerror(error))));
}

void Logger::put_line(const std::string& line) {
  const std::string status = status_;
  clear_status();
  put(line + '\n');
  if (!status.empty()) show_status(status);
}

void Logger::clear_status() {
  if (!status_.empty()) put("\r\x1b[K");
  status_.clear();
}

void Logger::show_status(std::string line) {
  line.resize(std::min(line.size(), terminal_columns() - 1));  // a wrapped line could not be rewritten
  put("\r" + line + "\x1b[K");
  status_ = std::move(line);
}

StatusLine::StatusLine(Logger& logger, std::string what, std::int64_t total, std::int64_t start, Cost cost)
    : logger_(logger), what_(std::move(what)), total_(total), start_(start), done_(start), cost_(std::move(cost)) {
  if (!cost_) cost_ = [](std::int64_t n) { return static_cast<double>(n); };
}

StatusLine::~StatusLine() { logger_.clear_status(); }

// "train  42 %  1200/3000  3.2/s  ETA 9 min 20 s  detail"
std::string StatusLine::text(std::string_view detail) const {
  std::string line = what_;
  if (total_ > 0)
    line += fmt::format("  {:.0f} %", std::floor(100 * static_cast<double>(done_) / static_cast<double>(total_)));
  line += fmt::format("  {}/{}", done_, total_);
  const double elapsed_s = timer_.seconds();
  if (done_ > start_ && elapsed_s > 0) {
    const double rate = static_cast<double>(done_ - start_) / elapsed_s;
    line += rate < 99.5 ? fmt::format("  {:.2g}/s", rate) : fmt::format("  {:.0f}/s", rate);
    const double done_cost = cost_(done_) - cost_(start_);
    if (done_ < total_) line += "  ETA " + format_duration((cost_(total_) - cost_(done_)) / done_cost * elapsed_s);
  }
  if (!detail.empty()) line += "  " + one_line(detail);
  return line;
}

void StatusLine::update(std::int64_t done, std::string_view detail) {
  done_ = done;
  if (!logger_.loud_ || finished_) return;
  const double now_s = timer_.seconds();
  if (now_s - last_print_s_ < (logger_.terminal_ ? kRewriteEvery_s : kWholeLineEvery_s)) return;
  last_print_s_ = now_s;
  logger_.terminal_ ? logger_.show_status(text(detail)) : put(text(detail) + '\n');
}

void StatusLine::finish() {
  if (finished_) return;
  finished_ = true;
  logger_.clear_status();
  const double elapsed_s = timer_.seconds();
  const std::int64_t fresh = done_ - start_;
  std::string line = fmt::format("{}  {}/{} in {}", what_, done_, total_, format_duration(elapsed_s));
  if (fresh > 0 && elapsed_s > 0) line += fmt::format("  ({:.3g}/s)", static_cast<double>(fresh) / elapsed_s);
  logger_.write(line);
}

}  // namespace hebm
