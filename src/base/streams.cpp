#include "base/streams.h"
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <system_error>

namespace hebm {

void fill_standard_streams() {
  // open() takes the lowest free number. Read only: what is written fails, as it would have.
  for (int number = ::open("/dev/null", O_RDONLY); number >= 0; number = ::open("/dev/null", O_RDONLY)) {
    if (number <= STDERR_FILENO) continue;
    ::close(number);
    return;
  }
}

std::string output_problem() {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  if (flushed && std::ferror(stdout) == 0 && std::cout.good()) return "";
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0) return "";
  return error == 0 ? "an earlier write failed" : std::generic_category().message(error);
}

}  // namespace hebm
