// The standard streams of a process.
#pragma once
#include <string>

namespace hebm {

// First in main: gives those of stdin, stdout and stderr that are closed (2>&-) a file that takes
// nothing. Otherwise the next file that is opened has their number, and gets what is said.
void fill_standard_streams();

// "" where stdout took all that was written to it, else why not (a full disk). A reader that has
// left (`| head`) has what it wanted. For the end of main: flushes.
std::string output_problem();

}  // namespace hebm
