#include "encode/encode.h"
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include "base/error.h"
#include "base/options.h"
#include "base/visits.h"
#include "storage/files.h"
#include "vae/inputs.h"

namespace hebm::encode {
namespace fs = std::filesystem;
namespace {

constexpr double kFarMean = 0.2, kSmallVariance = 0.5, kLargeVariance = 2.0;

data::Split split_of(const EncodeOptions& options) {
  return options.split == "test" ? data::Split::kTest : data::Split::kTrain;
}

class Encoder {
 public:
  Encoder(const EncodeOptions& options, const fs::path& directory, const data::CacheLayout& layout,
      const data::Dataset& dataset, const vae::Backbone& backbone)
      : options_(options),
        directory_(directory),
        layout_(layout),
        dataset_(dataset),
        backbone_(backbone),
        members_(dataset.members(split_of(options))) {}

  void encode_shard(std::int64_t shard) const {
    const auto [first, last] = data::shard_range(shard, layout_.num_shards, layout_.key.num_images);
    const std::vector<std::int64_t> images(members_.begin() + first, members_.begin() + last);
    std::vector<float> u(images.size() * static_cast<std::size_t>(layout_.key.draws * backbone_.dim()));
    for (std::int64_t start = 0; start < last - first; start += options_.batch) encode_chunk(images, start, u);
    data::write_shard(directory_, layout_, shard, images, u);
  }
 private:
  // Images [start, start + batch) of the shard, the last one repeated to the chunk's fixed size;
  // into u [n, R, D].
  void encode_chunk(const std::vector<std::int64_t>& shard, std::int64_t start, std::vector<float>& u) const {
    const c10::NoGradGuard no_grad;
    const auto count = static_cast<std::int64_t>(shard.size());
    const std::int64_t dim = backbone_.dim(), real = std::min(options_.batch, count - start);
    std::vector<std::int64_t> images;
    for (std::int64_t b = 0; b < options_.batch; ++b)
      images.push_back(shard[static_cast<std::size_t>(start + std::min(b, real - 1))]);
    const auto device = backbone_.params().device();
    const at::Tensor x = vae::image_tensor(dataset_.read(images)).to(device);
    const RandomKey key{layout_.key.seed, 0, Purpose::kPosterior};
    for (std::int64_t r = 0; r < layout_.key.draws; ++r) {
      const std::vector<std::uint32_t> epochs(images.size(), visits::kCache + static_cast<std::uint32_t>(r));
      const at::Tensor noise = vae::posterior_noise(key, images, epochs, dim).to(device);
      const at::Tensor drawn = backbone_.posterior(x, noise).u.to(at::kCPU).contiguous();  // [batch, D]
      for (std::int64_t b = 0; b < real; ++b) {
        const std::int64_t to = ((start + b) * layout_.key.draws + r) * dim;
        std::memcpy(
            u.data() + to, drawn.const_data_ptr<float>() + b * dim, static_cast<std::size_t>(dim) * sizeof(float));
      }
    }
  }

  const EncodeOptions& options_;
  const fs::path& directory_;
  const data::CacheLayout& layout_;
  const data::Dataset& dataset_;
  const vae::Backbone& backbone_;
  const std::vector<std::int64_t>& members_;
};

// Shards that still have to be written, as rank 0 sees them; the same on all ranks.
std::vector<std::int64_t> missing_shards(
    const fs::path& directory, const data::CacheLayout& layout, comm::Communicator& comm, Logger& logger) {
  std::vector<std::int64_t> missing(static_cast<std::size_t>(layout.num_shards), 0);
  comm::agree(comm, [&] {
    if (!comm.is_root()) return;
    storage::create_folders(directory);
    for (std::int64_t s = 0; s < layout.num_shards; ++s) {
      missing[static_cast<std::size_t>(s)] =
          data::shard_done(directory, layout, s, [&](const std::string& w) { logger.write(w); }) ? 0 : 1;
    }
  });
  comm.all_reduce(std::span<std::int64_t>(missing), comm::Op::kMax);
  std::vector<std::int64_t> out;
  for (std::int64_t s = 0; s < layout.num_shards; ++s) {
    if (missing[static_cast<std::size_t>(s)] != 0) out.push_back(s);
  }
  return out;
}

// A full disk is better known before hours of work.
void check_space(const fs::path& directory, const data::CacheLayout& layout, std::size_t num_missing) {
  const auto element = static_cast<double>(bytes_of(layout.key.dtype));
  const double whole =
      static_cast<double>(layout.key.num_images) * static_cast<double>(layout.key.draws * layout.dim()) * element;
  const double wanted = whole * static_cast<double>(num_missing) / static_cast<double>(layout.num_shards);
  const auto free = static_cast<double>(storage::free_bytes(directory));
  check(wanted <= free, ExitCode::kRuntime,
      "{}: the cache needs {} more, {} are free; make room, choose another folder, or take fewer cache.draws or "
      "cache.dtype float16",
      directory.string(), format_bytes(wanted), format_bytes(free));
}

// True when the index is there: the cache is whole and of this key.
bool already_whole(const fs::path& directory, const data::CacheLayout& layout, comm::Communicator& comm) {
  bool whole = false;
  comm::agree(comm, [&] {
    if (!comm.is_root() || !fs::exists(directory / "index.json")) return;
    const auto cache = data::LatentCache::open(directory);
    const std::string difference = layout.key.difference(cache.layout().key);
    check(difference.empty(), ExitCode::kUsage,
        "{} holds a latent cache of other settings: {}. Give those settings again, choose another folder, or remove "
        "it.",
        directory.string(), difference);
    whole = true;
  });
  return comm::any(comm, whole);
}

EncodeResult describe_cache(const fs::path& directory, comm::Communicator& comm, Logger& logger) {
  EncodeResult result;
  comm::agree(comm, [&] {
    const auto cache = data::LatentCache::open(directory);
    result.moments = cache.moments();
    result.max_abs_u = cache.max_abs_u();
    result.max_rounding_error = cache.max_rounding_error();
    if (comm.is_root()) {
      logger.line("{}: {} images x {} draws x {} in {} shards, {}", directory.string(), cache.num_images(),
          cache.layout().key.draws, cache.layout().dim(), cache.layout().num_shards,
          format_bytes(static_cast<double>(cache.stored_bytes())));
    }
  });
  for (std::size_t i = 0; i < result.moments.size(); ++i) {
    const auto& m = result.moments[i];
    logger.line("layer {}: mean {:+.4f}, variance {:.4f} of u", i, m.mean, m.variance);
    if (std::fabs(m.mean) <= kFarMean && m.variance >= kSmallVariance && m.variance <= kLargeVariance) continue;
    logger.line(
        "WARNING: layer {} is far from N(0, 1) (mean within {}, variance {} to {} expected): its chains will start far "
        "from the data; "
        "a larger vae_train.kl_weight brings the posterior closer",
        i, kFarMean, kSmallVariance, kLargeVariance);
  }
  logger.line("largest |u| {:.4g}, rounding error {:.3g}", result.max_abs_u, result.max_rounding_error);
  return result;
}

}  // namespace

void EncodeOptions::describe(Options& o) {
  o.add("cache.draws", &draws, "posterior draws an image", {1, 4096}, Show::kCommon);
  o.add_choice("cache.dtype", &dtype, "numbers as stored", Show::kCommon);
  o.add("cache.shards", &shards, "files of the cache; at least as many as ranks", {1, 99999}, Show::kCommon);
  o.add("cache.batch", &batch, "images a chunk of work", {1, 100000});
  o.add_choice("cache.split", &split, {"train", "test"}, "images to encode");
}

data::CacheLayout cache_layout(const EncodeOptions& options, const data::Dataset& dataset,
    const vae::Backbone& backbone, const std::string& vae_hash, std::uint64_t seed) {
  data::CacheLayout layout;
  layout.key.images_hash = dataset.images_hash();
  layout.key.split = options.split;
  layout.key.preprocessing = "u8 / 255";
  layout.key.vae_hash = vae_hash;
  layout.key.posterior_rule =
      fmt::format("one draw of q(u|x), visit {} + draw, chunks of {}", visits::kCache, options.batch);
  layout.key.dtype = options.dtype;
  layout.key.draws = options.draws;
  layout.key.seed = seed;
  layout.key.num_images = static_cast<std::int64_t>(dataset.members(split_of(options)).size());
  layout.groups = backbone.groups();
  layout.num_shards = options.shards;
  check(layout.key.num_images >= options.shards, ExitCode::kUsage, "cache.shards = {}: the {} split has {} images only",
      options.shards, options.split, layout.key.num_images);
  dataset.expect_shape(backbone.image_shape(), "VAE");
  return layout;
}

EncodeResult encode_cache(const EncodeOptions& options, const fs::path& directory, const EncodeInputs& inputs,
    const StopFlag* stop, comm::Communicator& comm, Logger& logger) {
  const data::CacheLayout layout = cache_layout(options, inputs.dataset, inputs.backbone, inputs.vae_hash, inputs.seed);
  if (already_whole(directory, layout, comm)) {
    logger.line("{} is there already, made with these settings: nothing to do", directory.string());
    return describe_cache(directory, comm, logger);
  }
  const auto missing = missing_shards(directory, layout, comm, logger);
  comm::agree(comm, [&] {
    if (comm.is_root()) check_space(directory, layout, missing.size());
  });
  const Encoder encoder(options, directory, layout, inputs.dataset, inputs.backbone);
  const auto total = static_cast<std::int64_t>(missing.size());
  StatusLine status(logger, "encode", layout.num_shards, layout.num_shards - total);
  for (std::int64_t done = 0; done < total;) {  // one round: a shard for every rank
    const std::int64_t mine = done + comm.rank();
    comm::agree(comm, [&] {
      if (mine < total) encoder.encode_shard(missing[static_cast<std::size_t>(mine)]);
    });
    done = std::min<std::int64_t>(total, done + comm.size());
    status.update(layout.num_shards - total + done);
    const bool stopping = comm::any(comm, stop != nullptr && stop->requested());
    if (stopping && done < total) {
      EncodeResult stopped;
      stopped.outcome = EncodeResult::Outcome::kStopped;
      stopped.shards_written = done;
      return stopped;
    }
  }
  status.finish();
  comm::agree(comm, [&] {
    if (comm.is_root()) data::publish_cache(directory, layout);
  });
  EncodeResult result = describe_cache(directory, comm, logger);
  result.shards_written = total;
  return result;
}

}  // namespace hebm::encode
