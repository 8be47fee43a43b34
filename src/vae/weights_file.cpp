#include "vae/weights_file.h"
#include "base/error.h"
#include "nets/tensor_io.h"
#include "storage/json.h"
#include "vae/make_backbone.h"

namespace hebm::vae {
namespace {

std::unique_ptr<Backbone> from_architecture(const storage::SafetensorsFile& file, at::ScalarType dtype) {
  const std::string& text = nets::metadata_text(file, "architecture");
  try {
    return backbone_from_architecture(text, {.dtype = dtype, .max_values = nets::num_values(file)});
  } catch (const Error& e) {
    fail(e.code(), "{}: {}", file.path().string(), e.what());
  }
}

}  // namespace

std::string backbone_hash(const Backbone& backbone) {
  return nets::hash_weights(backbone.architecture(), nets::saved_tensors(backbone.params()));
}

std::string save_vae(const std::filesystem::path& path, const Backbone& backbone, const nlohmann::json& fingerprint,
    const nlohmann::json& results) {
  const std::string hash = backbone_hash(backbone);
  nets::publish_tensors(path, nets::saved_tensors(backbone.params()),
      {{"format", kVaeFormat}, {"version", kVaeVersion}, {"architecture", backbone.architecture()},
          {"identity", storage::json_text(fingerprint)}, {"results", storage::json_text(results)}, {"vae_hash", hash}});
  return hash;
}

VaeInfo read_vae_info(const std::filesystem::path& path) {
  const storage::SafetensorsFile file(path);
  nets::check_format(file, kVaeFormat, kVaeVersion);
  const std::string hash = nets::metadata_or_empty(file, "vae_hash");
  return {nets::metadata_json(file, "identity"), nets::metadata_json(file, "results"),
      hash.empty() ? "crc32 " + nets::metadata_or_empty(file, "crc32") : hash};
}

std::unique_ptr<Backbone> load_backbone(const std::filesystem::path& path, at::ScalarType dtype) {
  const storage::SafetensorsFile file(path);
  nets::check_format(file, kVaeFormat, kVaeVersion);
  auto backbone = from_architecture(file, dtype);
  nets::load_float32(file, nets::saved_tensors(backbone->params()));
  nets::check_whole(
      file, "vae_hash", [&] { return backbone_hash(*backbone); },
      "; train or import the VAE again or copy the file again");
  backbone->freeze();
  return backbone;
}

}  // namespace hebm::vae
