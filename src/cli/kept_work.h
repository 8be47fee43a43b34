// What a command that makes one file has made of it: whole chunks in RUN/work/PRODUCT, from where
// the same command goes on after a stop or a kill, on any number of ranks.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include "cli/context.h"
#include "comm/chunks.h"
#include "storage/chunk_file.h"

namespace hebm::cli {

// Chunks of other settings that were kept: an error, as their product would be one, or replaced.
enum class OtherChunks { kRefuse, kReplace };

class KeptWork {
 public:
  // fingerprint: of the product. Collective. Error(kUsage) naming what differs, with kRefuse.
  KeptWork(
      Context& context, const std::filesystem::path& product, const nlohmann::json& fingerprint, OtherChunks others);
  comm::Crew crew() { return {context_.comm(), context_.logger(), file_ ? &*file_ : nullptr, &context_.stop()}; }
  // That the chunks took which were kept before this start; on rank 0.
  double seconds() const { return file_ ? file_->seconds() : 0.0; }
  // The product is there. Collective.
  void forget();
 private:
  Context& context_;
  std::optional<storage::ChunkFile> file_;  // on rank 0
};

// Where the product was there already: chunks of the same fingerprint are left over from a kill at
// the very end. Collective.
void forget_kept(Context& context, const std::filesystem::path& product, const nlohmann::json& fingerprint);

}  // namespace hebm::cli
