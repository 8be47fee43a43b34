#include "sample/sample.h"
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include <optional>
#include "base/error.h"
#include "comm/chunks.h"
#include "data/new_file.h"
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "storage/lenient_json.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::sample {
namespace fs = std::filesystem;

void SampleOptions::describe(Options& o) {
  o.add("sample.count", &count, "images", {1, 100000000}, Show::kCommon);
  o.add("sample.first", &first, "number of the first image", {0, 2000000000});
  o.add("sample.chunk", &chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
  o.add("sample.seed", &seed, "seed of chains and pixels", {0}, Show::kCommon);
  o.add("sample.temperature", &temperature, "factor of every sigma in the final decode", {0.0, 10.0}, Show::kCommon);
  o.add_choice("sample.pixels", &pixels, "mean of p(x|z), or a sample of it (the authors)");
  o.add("sample.grid", &grid, "images of the PNG grid", {1, 10000});
}

nlohmann::json sample_fingerprint(const SampleOptions& options, const std::string& vae_hash) {
  return {{"sample.count", options.count}, {"sample.first", options.first}, {"sample.chunk", options.chunk},
      {"sample.seed", options.seed}, {"sample.temperature", options.temperature},
      {"sample.pixels", name_of(options.pixels)}, {"vae_hash", vae_hash}};
}

ImageBatch decode_images(
    const vae::Backbone& backbone, const at::Tensor& u, const SampleOptions& options, const prior::ChainIds& ids) {
  const c10::NoGradGuard no_grad;
  const at::Tensor parameters = backbone.decode(u, options.temperature);
  if (options.pixels == Pixels::kMean) return vae::image_batch(backbone.mean_image(parameters));
  const ImageShape shape = backbone.image_shape();
  const std::int64_t size = backbone.likelihood().sample_channels() * shape.height * shape.width;
  const at::Tensor noise =
      at::empty({u.size(0), backbone.likelihood().sample_channels(), shape.height, shape.width}, at::kFloat);
  for (std::int64_t b = 0; b < u.size(0); ++b) {
    fill_uniform({noise.mutable_data_ptr<float>() + b * size, static_cast<std::size_t>(size)},
        ids.key(Purpose::kPixels), {.item = ids.item[static_cast<std::size_t>(b)]});
  }
  return vae::image_batch(backbone.sample_image(parameters, noise.to(parameters.device())));
}

namespace {

// True when the file is there and whole (it is only ever renamed into place) with this fingerprint.
bool samples_done(const fs::path& file, const nlohmann::json& fingerprint) {
  if (!fs::exists(file)) return false;
  const auto stored = storage::lenient_json(storage::H5File::open(file).string_attribute("identity"));
  const std::string difference = storage::settings_difference(fingerprint, stored, "file");
  check(difference.empty(), ExitCode::kUsage, "{} holds other samples:{}\nRemove it, or choose another run.directory.",
      file.string(), difference);
  return true;
}

// Rank 0's file under a temporary name and the grid of its first images; rows come chunk by chunk.
class SampleWriter {
 public:
  SampleWriter(fs::path target, const ImageShape& shape, const SampleOptions& options)
      : target_(std::move(target)),
        scratch_(target_),
        file_(storage::H5File::create(scratch_.path())),
        grid_size_(options.grid) {
    grid_.shape = shape;
    file_.create_dataset("images", storage::H5Type::kU8,
        {static_cast<std::uint64_t>(options.count), static_cast<std::uint64_t>(shape.channels),
            static_cast<std::uint64_t>(shape.height), static_cast<std::uint64_t>(shape.width)});
  }
  // In order, without gaps.
  void add(std::string_view pixels) {
    const std::int64_t size = grid_.shape.size(), count = static_cast<std::int64_t>(pixels.size()) / size;
    const auto bytes = storage::as_bytes(pixels.data(), pixels.size());
    hasher_.update(bytes);
    file_.write_rows("images", storage::H5Type::kU8, static_cast<std::uint64_t>(num_rows_),
        static_cast<std::uint64_t>(count), bytes);
    num_rows_ += count;
    const std::int64_t shown = std::min(count, grid_size_ - grid_.count);
    grid_.pixels.insert(grid_.pixels.end(), pixels.begin(), pixels.begin() + shown * size);
    grid_.count += shown;
  }
  // Returns images_hash: equal images have equal hashes, whoever drew them.
  std::string publish(const nlohmann::json& fingerprint, double seconds) {
    storage::write_png_grid(fs::path(target_).replace_extension(".png"), grid_, 10);
    const std::string hash = hasher_.digest();
    file_.set_attribute("images_hash", hash);
    file_.set_attribute("format", std::string("hebm-samples"));
    file_.set_attribute("version", std::int64_t{1});
    file_.set_attribute("identity", storage::json_text(fingerprint));
    file_.set_attribute("seconds", fmt::format("{:.3f}", seconds));
    file_.close_durable();
    scratch_.publish();
    return hash;
  }
 private:
  fs::path target_;
  data::ScratchFile scratch_;
  storage::H5File file_;
  storage::Hasher hasher_;
  std::int64_t num_rows_ = 0, grid_size_;
  ImageBatch grid_;
};

}  // namespace

bool write_samples(const SampleFile& file, const vae::Backbone& backbone, const DrawLatents& draw, const StopFlag* stop,
    comm::Communicator& comm, Logger& logger) {
  const SampleOptions& options = file.options;
  if (comm::root_says(comm, [&] { return samples_done(file.path, file.fingerprint); })) {
    logger.line("{} is there already: nothing to do", file.path.string());
    return true;
  }
  std::optional<SampleWriter> writer;
  comm::on_root(comm, [&] { writer.emplace(file.path, backbone.image_shape(), options); });
  const auto seed = static_cast<std::uint64_t>(options.seed);
  const Timer timer;
  const bool is_whole = comm::share_chunks(
      {options.count, options.chunk, file.path.stem().string()}, comm, logger,
      [&](const comm::Chunk& chunk) {
        const auto ids = prior::chain_ids(seed, options.first + chunk.first, chunk.size);
        const ImageBatch images = decode_images(backbone, draw(ids), options, ids);
        return std::string(reinterpret_cast<const char*>(images.pixels.data()),
            static_cast<std::size_t>(chunk.count * images.shape.size()));
      },
      [&](const comm::Chunk&, std::string_view pixels) { writer->add(pixels); },
      [&] { return stop != nullptr && stop->requested(); });
  if (!is_whole) return false;
  const double seconds = timer.seconds();
  comm::agree(comm, [&] {
    if (!writer) return;
    const std::string hash = writer->publish(file.fingerprint, seconds);
    logger.line(
        "{}: {} images in {}, images_hash {}", file.path.string(), options.count, format_duration(seconds), hash);
  });
  return true;
}

}  // namespace hebm::sample
