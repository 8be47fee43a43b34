// A parser under libFuzzer: it may take its input or refuse it by Error(kCorrupt) or Error(kUsage).
// Everything else (another exception, a signal, a sanitizer's report, a gigabyte) is a finding.
#pragma once
#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include "base/error.h"

namespace hebm::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Where no other process of the fuzzer writes; in memory where the machine has a /dev/shm.
inline std::filesystem::path input_file() {
  static const std::filesystem::path path =
      std::filesystem::path(std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp") /
      ("hebm-fuzz-" + std::to_string(getpid()));
  static const int removed = std::atexit([] { std::filesystem::remove(path); });
  static_cast<void>(removed);
  return path;
}

template <class Parse> int judge(const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    if (error.code() != ExitCode::kCorrupt && error.code() != ExitCode::kUsage) throw;
  }
  return 0;
}

template <class Parse> int judge_file(const std::uint8_t* data, std::size_t size, const Parse& parse) {
  const std::filesystem::path path = input_file();
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(text_of(data, size).data(), static_cast<std::streamsize>(size));
  return judge([&] { parse(path); });
}

}  // namespace hebm::fuzz
