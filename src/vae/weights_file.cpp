#include "vae/weights_file.h"

#include "base/error.h"
#include "nets/tensor_io.h"
#include "vae/hvae.h"

namespace hebm::vae {
namespace {

std::vector<nets::NamedTensor> all_tensors(const nets::Parameters& params) {
  auto out = params.parameters();
  out.insert(out.end(), params.states().begin(), params.states().end());
  return out;
}

}  // namespace

std::string backbone_hash(const Backbone& backbone) {
  return storage::hash_text(backbone.architecture() + "\n" + nets::hash_tensors(all_tensors(backbone.params())));
}

std::string save_vae(const std::filesystem::path& path, const Backbone& backbone, const nlohmann::json& identity,
                     const nlohmann::json& results) {
  const std::string hash = backbone_hash(backbone);
  nets::publish_tensors(path, all_tensors(backbone.params()),
                        {{"format", kVaeFormat},
                         {"version", kVaeVersion},
                         {"architecture", backbone.architecture()},
                         {"identity", identity.dump()},
                         {"results", results.dump()},
                         {"vae_hash", hash}});
  return hash;
}

VaeInfo read_vae_info(const std::filesystem::path& path) {
  const storage::SafetensorsFile file(path);
  nets::check_format(file, kVaeFormat, kVaeVersion);
  return {nets::metadata_text(file, "vae_hash"), nets::metadata_json(file, "identity"),
          nets::metadata_json(file, "results")};
}

std::unique_ptr<Backbone> load_backbone(const std::filesystem::path& path) {
  const storage::SafetensorsFile file(path);
  nets::check_format(file, kVaeFormat, kVaeVersion);
  std::unique_ptr<Backbone> backbone;
  try {
    backbone = Hvae::from_architecture(nets::metadata_text(file, "architecture"), nets::num_values(file));
  } catch (const Error& e) {
    fail(e.code(), "{}: {}", path.string(), e.what());
  }
  nets::load_tensors(file, all_tensors(backbone->params()));
  const std::string expected = nets::metadata_text(file, "vae_hash"), got = backbone_hash(*backbone);
  check(got == expected, ExitCode::kCorrupt,
        "{}: the weights have hash {}, expected {}: the file is damaged; train the VAE again or copy the file again",
        path.string(), got, expected);
  return backbone;
}

}  // namespace hebm::vae
