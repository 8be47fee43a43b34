#include "cli/run_command.h"
#include <iostream>
#include "cli/inputs.h"
#include "storage/files.h"

namespace hebm::cli {
namespace {

// The result in `file` where it was made with this fingerprint, else make()'s, which is written
// there with it. Collective.
nlohmann::json kept_result(const std::filesystem::path& file, const nlohmann::json& fingerprint, Context& context,
    const std::function<nlohmann::json()>& make) {
  std::string stored;
  comm::agree(context.comm(), [&] {
    if (context.comm().is_root() && std::filesystem::exists(file)) stored = storage::read_file(file);
  });
  stored = context.comm().all_gather(stored)[0];
  nlohmann::json result;
  if (!stored.empty()) result = nlohmann::json::parse(stored, nullptr, false);
  if (result.is_object() && result.value("identity", nlohmann::json()) == fingerprint) {
    context.logger().line("{} is there already, made with these settings: nothing to do", file.string());
    return result;
  }
  result = make();
  result["identity"] = fingerprint;
  comm::agree(context.comm(), [&] {
    if (!context.comm().is_root()) return;
    std::filesystem::create_directories(file.parent_path());
    storage::write_file_atomic(file, result.dump(2) + "\n");
  });
  return result;
}

}  // namespace

void RunCommand::declare(Options& options) {
  options.outside_fingerprint([&] { run_.describe(options); });
  describe(options);
}

int RunCommand::execute(const Invocation& call) {
  resolve();
  if (call.dry_run) {
    const Lines lines = plan();
    print_dry_run(call.options, lines);
    return 0;
  }
  open();
  Context context(run_, call, folders(call));
  return work(context);
}

void ResultCommand::describe(Options& options) {
  declare_result(options);
  options.add("json", &json_, json_help());
}

Lines ResultCommand::plan() {
  const auto files = inputs();
  for (const auto& file : files) {
    if (!std::filesystem::exists(file)) return missing_lines(files);
  }
  open();
  return sizes();
}

int ResultCommand::work(Context& context) {
  prepare(context);
  const auto result = kept_result(file(), fingerprint(context), context, [&] { return make_json(context); });
  if (context.comm().is_root()) std::cout << (json_ ? result.dump(2) + "\n" : table(result)) << std::flush;
  return 0;
}

}  // namespace hebm::cli
