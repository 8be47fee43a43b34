#include "encode/encode.h"
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <sstream>
#include "base/error.h"
#include "base/progress.h"
#include "base/visits.h"
#include "storage/files.h"
#include "vae/inputs.h"

namespace hebm::encode {
namespace fs = std::filesystem;
namespace {

class Encoder {
 public:
  Encoder(const EncodeOptions& options, const fs::path& directory, const EncodeInputs& inputs, comm::Communicator& comm,
      Logger& logger)
      : options_(options),
        directory_(directory),
        in_(inputs),
        layout_(cache_layout(options, in_.dataset, in_.backbone, in_.vae_hash, in_.seed)),
        members_(in_.dataset.members(options.split)),
        comm_(comm),
        logger_(logger) {}

  EncodeResult run(const StopFlag* stop) const {
    if (already_whole()) {
      logger_.line("{} is there already, made with these settings: nothing to do", directory_.string());
      return describe(0);
    }
    const auto missing = missing_shards();
    comm::on_root(comm_, [&] { check_space(missing.size()); });
    const std::int64_t total = std::ssize(missing);
    StatusLine status(logger_, "encode", layout_.num_shards, layout_.num_shards - total);
    Phase phase("encode");
    for (std::int64_t done = 0; done < total;) {  // one round: a shard for every rank
      phase.next(fmt::format("encode, shard {} of {}", done, total));
      const std::int64_t mine = done + comm_.rank();
      comm::agree(comm_, [&] {
        if (mine < total) encode_shard(missing[static_cast<std::size_t>(mine)]);
      });
      done = std::min<std::int64_t>(total, done + comm_.size());
      status.update(layout_.num_shards - total + done);
      const bool stopping = comm::any(comm_, stop != nullptr && stop->requested());
      if (stopping && done < total) return {.outcome = EncodeResult::Outcome::kStopped, .shards_written = done};
    }
    status.finish();
    comm::on_root(comm_, [&] { data::publish_cache(directory_, layout_); });
    return describe(total);
  }
 private:
  // True when the index is there: the cache is whole and of this key.
  bool already_whole() const {
    return comm::root_says(comm_, [&] {
      if (!fs::exists(directory_ / "index.json")) return false;
      const std::string difference = layout_.key.difference(data::LatentCache::open(directory_).layout().key);
      check(difference.empty(), ExitCode::kUsage,
          "{} holds a latent cache of other settings: {}. Give those settings again, choose another folder, or remove "
          "it.",
          directory_.string(), difference);
      return true;
    });
  }

  // Shards that still have to be written; the same on all ranks. Each rank reads its part of those
  // that are there.
  std::vector<std::int64_t> missing_shards() const {
    const Phase phase("encode, verifies the shards that are there");
    std::vector<std::int64_t> is_missing(static_cast<std::size_t>(layout_.num_shards), 0), out;
    std::string warnings;
    comm::on_root(comm_, [&] { storage::create_folders(directory_); });
    comm::agree(comm_, [&] {
      for (std::int64_t s = comm_.rank(); s < layout_.num_shards; s += comm_.size()) {
        const bool done = data::shard_done(directory_, layout_, s, [&](const std::string& w) { warnings += w + '\n'; });
        is_missing[static_cast<std::size_t>(s)] = done ? 0 : 1;
      }
    });
    for (const std::string& of_rank : comm_.gather(warnings)) {
      std::istringstream lines(of_rank);
      for (std::string line; std::getline(lines, line);) logger_.write(line);
    }
    comm_.all_reduce(std::span<std::int64_t>(is_missing), comm::Op::kMax);
    for (std::int64_t s = 0; s < layout_.num_shards; ++s) {
      if (is_missing[static_cast<std::size_t>(s)] != 0) out.push_back(s);
    }
    return out;
  }

  // A full disk is better known before hours of work.
  void check_space(std::size_t num_missing) const {
    const auto element = static_cast<double>(data::bytes_of(layout_.key.dtype));
    const double whole =
        static_cast<double>(layout_.key.num_images) * static_cast<double>(layout_.key.draws * layout_.dim()) * element;
    const double wanted = whole * static_cast<double>(num_missing) / static_cast<double>(layout_.num_shards);
    const auto free = static_cast<double>(storage::free_bytes(directory_));
    check(wanted <= free, ExitCode::kRuntime,
        "{}: the cache needs {} more, {} are free; make room, choose another folder, or take fewer cache.draws or "
        "cache.dtype float16",
        directory_.string(), format_bytes(wanted), format_bytes(free));
  }

  void encode_shard(std::int64_t shard) const {
    const auto [first, last] = data::shard_range(shard, layout_.num_shards, layout_.key.num_images);
    const std::span<const std::int64_t> images(members_.begin() + first, members_.begin() + last);
    const auto record = static_cast<std::size_t>(layout_.key.draws * layout_.dim());
    std::vector<float> u(images.size() * record);
    for (std::size_t start = 0; start < images.size(); start += static_cast<std::size_t>(options_.batch)) {
      const std::size_t count = std::min(static_cast<std::size_t>(options_.batch), images.size() - start);
      encode_chunk(images.subspan(start, count), std::span(u).subspan(start * record, count * record));
    }
    data::write_shard(directory_, layout_, shard, images, u);
  }

  // Into u [n, R, D]. The last image is repeated to the chunk's fixed size.
  void encode_chunk(std::span<const std::int64_t> images, std::span<float> u) const {
    const c10::NoGradGuard no_grad;
    const std::int64_t dim = layout_.dim(), count = std::ssize(images), draws = layout_.key.draws;
    std::vector<std::int64_t> padded(images.begin(), images.end());
    padded.resize(static_cast<std::size_t>(options_.batch), padded.back());
    const at::Tensor x = vae::image_tensor(in_.dataset.read(padded)).to(in_.backbone.params().device());
    const at::Tensor all = at::from_blob(u.data(), {count, draws, dim}, at::kFloat);
    for (std::int64_t r = 0; r < draws; ++r) {
      const std::vector<std::uint32_t> epochs(padded.size(), visits::kCache + static_cast<std::uint32_t>(r));
      const auto q = vae::draw_posterior(in_.backbone, x, layout_.key.seed, padded, epochs);
      all.select(1, r).copy_(q.u.narrow(0, 0, count));
      tick();
    }
  }

  EncodeResult describe(std::int64_t shards_written) const {
    EncodeResult result{.shards_written = shards_written};
    comm::agree(comm_, [&] {
      const auto cache = data::LatentCache::open(directory_);
      result.moments = cache.moments();
      result.max_abs_u = cache.max_abs_u();
      result.max_rounding_error = cache.max_rounding_error();
      if (comm_.is_root()) {
        logger_.line("{}: {} images x {} draws x {} in {} shards, {}", directory_.string(), cache.num_images(),
            cache.layout().key.draws, cache.layout().dim(), cache.layout().num_shards,
            format_bytes(static_cast<double>(cache.stored_bytes())));
      }
    });
    for (std::size_t i = 0; i < result.moments.size(); ++i) {
      const auto& m = result.moments[i];
      logger_.line("layer {}: mean {:+.4f}, variance {:.4f} of u", i, m.mean, m.variance);
      if (!m.is_far()) continue;
      logger_.line(
          "WARNING: layer {} is far from N(0, 1) (mean within {}, variance {} to {} expected): its chains will start "
          "far "
          "from the data; a larger vae_train.kl_weight brings the posterior closer",
          i, m.kFarMean, m.kSmallVariance, m.kLargeVariance);
    }
    logger_.line("largest |u| {:.4g}, rounding error {:.3g}", result.max_abs_u, result.max_rounding_error);
    return result;
  }

  const EncodeOptions& options_;
  const fs::path& directory_;
  const EncodeInputs& in_;
  data::CacheLayout layout_;
  const std::vector<std::int64_t>& members_;
  comm::Communicator& comm_;
  Logger& logger_;
};

}  // namespace

void EncodeOptions::describe(Options& o) {
  o.add("cache.draws", &draws, "posterior draws an image", {1, 4096}, Show::kCommon);
  o.add_choice("cache.dtype", &dtype, "numbers as stored", Show::kCommon);
  o.add("cache.shards", &shards, "files of the cache; at least as many as ranks", {1, 99999}, Show::kCommon);
  o.add("cache.batch", &batch, "images a chunk of work", {1, 100000});
  o.add_choice("cache.split", &split, "images to encode");
}

data::CacheLayout cache_layout(const EncodeOptions& options, const data::Dataset& dataset,
    const vae::Backbone& backbone, const std::string& vae_hash, std::uint64_t seed) {
  data::CacheLayout layout;
  layout.key.images_hash = dataset.images_hash();
  layout.key.split = name_of(options.split);
  layout.key.preprocessing = "u8 / 255";
  layout.key.vae_hash = vae_hash;
  layout.key.posterior_rule =
      fmt::format("one draw of q(u|x), visit {} + draw, chunks of {}", visits::kCache, options.batch);
  layout.key.dtype = options.dtype;
  layout.key.draws = options.draws;
  layout.key.seed = seed;
  layout.key.num_images = std::ssize(dataset.members(options.split));
  layout.groups = backbone.groups();
  layout.num_shards = options.shards;
  check(layout.key.num_images >= options.shards, ExitCode::kUsage, "cache.shards = {}: the {} split has {} images only",
      options.shards, name_of(options.split), layout.key.num_images);
  dataset.expect_shape(backbone.image_shape(), "VAE");
  return layout;
}

EncodeResult encode_cache(const EncodeOptions& options, const fs::path& directory, const EncodeInputs& inputs,
    const StopFlag* stop, comm::Communicator& comm, Logger& logger) {
  return Encoder(options, directory, inputs, comm, logger).run(stop);
}

}  // namespace hebm::encode
