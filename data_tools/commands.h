// The commands of hebm_data, one file each. Arguments are without program and command name; results
// go to stdout, errors are thrown as hebm::Error.
#pragma once
#include <span>
#include <string>

namespace hebm::data_tools {

void run_import_idx(std::span<const std::string> args);
void run_import_mnist5k(std::span<const std::string> args);
void run_derive(std::span<const std::string> args);
void run_derive_attributes(std::span<const std::string> args);
void run_inspect(std::span<const std::string> args);
void run_verify(std::span<const std::string> args);

}  // namespace hebm::data_tools
