#include "vae/weights_file.h"
#include "base/error.h"
#include "nets/tensor_io.h"
#include "vae/make_backbone.h"

namespace hebm::vae {
namespace {

std::vector<nets::NamedTensor> all_tensors(const nets::Parameters& params) {
  auto out = params.parameters();
  out.insert(out.end(), params.states().begin(), params.states().end());
  return out;
}

std::string hash_of(const std::string& architecture, const std::vector<nets::NamedTensor>& tensors) {
  return storage::hash_text(architecture + "\n" + nets::hash_tensors(tensors));
}

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
  auto tensors = all_tensors(backbone.params());
  for (auto& t : tensors) t.tensor = t.tensor.detach().to(at::kFloat);
  return hash_of(backbone.architecture(), tensors);
}

std::string save_vae(const std::filesystem::path& path, const Backbone& backbone, const nlohmann::json& identity,
    const nlohmann::json& results) {
  const std::string hash = backbone_hash(backbone);
  nets::publish_tensors(path, all_tensors(backbone.params()),
      {{"format", kVaeFormat}, {"version", kVaeVersion}, {"architecture", backbone.architecture()},
          {"identity", identity.dump()}, {"results", results.dump()}, {"vae_hash", hash}});
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
  nets::load_float32(file, all_tensors(backbone->params()));
  nets::check_whole(
      file, "vae_hash", [&] { return backbone_hash(*backbone); },
      "; train or import the VAE again or copy the file again");
  backbone->freeze();
  return backbone;
}

}  // namespace hebm::vae
