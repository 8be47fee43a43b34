#include "train/product.h"
#include <fmt/format.h>
#include <map>
#include "base/error.h"
#include "nets/tensor_io.h"

namespace hebm::train {
namespace {

// Value of a setting in a stored identity, as JSON text; of options that came after the first
// files, what runs did before them; else "nothing".
std::string stored_setting(const nlohmann::json& stored, const std::string& key) {
  static const std::map<std::string, std::string> kLaterOptions = {
      {"energy.net", "small"}, {"energy.power_iterations_in_chain", "false"}};
  if (stored.contains(key)) return stored[key].dump();
  const auto found = kLaterOptions.find(key);
  return found == kLaterOptions.end() ? "nothing" : nlohmann::json(found->second).dump();
}

}  // namespace

std::string identity_difference(const nlohmann::json& wanted, const nlohmann::json& stored, const char* what) {
  std::string out;
  for (const auto& [key, value] : wanted.items()) {
    const std::string there = stored_setting(stored, key);
    if (there != value.dump())
      out += fmt::format("\n  {}: the {} has {}, you ask for {}", key, what, there, value.dump());
  }
  return out;
}

bool product_done(const std::filesystem::path& file, const std::string& format, const std::string& version,
    const nlohmann::json& identity, comm::Communicator& comm, Logger& logger) {
  bool there = false;
  comm::agree(comm, [&] {
    if (!comm.is_root() || !std::filesystem::exists(file)) return;
    const storage::SafetensorsFile stored(file);
    nets::check_format(stored, format, version);
    const std::string difference = identity_difference(identity, nets::metadata_json(stored, "identity"));
    check(difference.empty(), ExitCode::kUsage,
        "{} was made with other settings:{}\nGive those settings again, remove the file, or choose another "
        "run.directory.",
        file.string(), difference);
    there = true;
  });
  const bool done = comm::any(comm, there);
  if (done) logger.line("{} is there already, made with these settings: nothing to do", file.string());
  return done;
}

}  // namespace hebm::train
