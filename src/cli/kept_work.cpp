#include "cli/kept_work.h"
#include "base/error.h"

namespace hebm::cli {
namespace {

std::filesystem::path chunk_file_of(const std::filesystem::path& product) {
  return storage::run_files::work_folder(product) / storage::run_files::kChunks;
}

std::function<void(const std::string&)> log_of(Context& context) {
  return [&context](const std::string& line) { context.logger().write(line); };
}

}  // namespace

KeptWork::KeptWork(
    Context& context, const std::filesystem::path& product, const nlohmann::json& fingerprint, OtherChunks others)
    : context_(context) {
  comm::on_root(context.comm(), [&] {
    const auto path = chunk_file_of(product);
    file_.emplace(path, fingerprint, log_of(context));
    check(others == OtherChunks::kReplace || !file_->other_settings(), ExitCode::kUsage,
        "{} holds chunks of an unfinished {} of other settings:{}\nGive those settings again to go on with them, or "
        "remove that file.",
        path.string(), product.filename().string(), file_->difference());
    if (!file_->difference().empty())
      context.logger().line(
          "note: {} holds chunks of other settings, which are replaced:{}", path.string(), file_->difference());
    if (file_->count() > 0)
      context.logger().line("goes on from {} chunks that an earlier start made ({})", file_->count(), path.string());
  });
}

void KeptWork::forget() {
  comm::on_root(context_.comm(), [&] { file_->forget(); });
}

void forget_kept(Context& context, const std::filesystem::path& product, const nlohmann::json& fingerprint) {
  comm::on_root(
      context.comm(), [&] { storage::ChunkFile(chunk_file_of(product), fingerprint, log_of(context)).forget(); });
}

}  // namespace hebm::cli
