#include "evaluate/features.h"
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "base/error.h"
#include "evaluate/experiment.h"
#include "nets/tensor_io.h"
#include "storage/hash.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFormat = "hebm-moments";
constexpr const char* kVersion = "1";
constexpr std::int64_t kFeatures = nets::FeatureNet::kFeatures;
static_assert(kFeatures == results::kNumFeatures);

// Of a chunk's images.
struct Looked {
  at::Tensor features, seconds;  // [images, F]; [1] float64: of making the images
  static void tensors(auto& l, auto& visit) { visit(l.features, l.seconds); }
};

// What they belong to; a file of anything else is made anew.
std::map<std::string, std::string> fingerprint_of(
    const nets::LoadedFeatureNet& features, const data::Dataset& dataset) {
  const auto& members = dataset.members(data::Split::kTrain);
  return {{"features_hash", features.hash}, {"images_hash", dataset.images_hash()},
      {"members_hash", storage::hash_bytes(storage::as_bytes(members.data(), members.size()))}};
}

std::vector<nets::NamedTensor> tensors_of(const Moments& moments) {
  return {{"mean", moments.mean}, {"covariance", moments.covariance}};
}

// The kept ones, where they are of this. A damaged file is a note in the log.
std::optional<Moments> read_kept(
    const fs::path& path, const std::map<std::string, std::string>& fingerprint, std::int64_t count, Logger& logger) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    const storage::SafetensorsFile file(path);
    nets::check_format(file, kFormat, kVersion);
    for (const auto& [key, value] : fingerprint) {
      if (nets::metadata_text(file, key) != value) return std::nullopt;
    }
    const Moments out{at::empty({kFeatures}, at::kDouble), at::empty({kFeatures, kFeatures}, at::kDouble), count};
    const auto tensors = tensors_of(out);
    nets::load_tensors(file, tensors);
    check(nets::metadata_text(file, "hash") == nets::hash_tensors(tensors), ExitCode::kCorrupt,
        "{}: the values do not have the hash that the file gives", path.string());
    for (const auto& t : tensors)
      check(
          at::isfinite(t.tensor).all().item<bool>(), ExitCode::kCorrupt, "{}: {} is not finite", path.string(), t.name);
    return out;
  } catch (const Error& error) {
    logger.line("note: {}; it is made again", error.what());
    return std::nullopt;
  }
}

void keep(const fs::path& path, const Moments& moments, std::map<std::string, std::string> metadata, Logger& logger) {
  const auto tensors = tensors_of(moments);
  metadata["format"] = kFormat;
  metadata["version"] = kVersion;
  metadata["hash"] = nets::hash_tensors(tensors);
  try {
    nets::publish_tensors(path, tensors, metadata);
  } catch (const std::exception& error) {
    logger.line("note: the features of the training images are not kept for the next time: {}", error.what());
  }
}

}  // namespace

FeatureRows collect_features(
    const nets::FeatureNet& net, const Items& items, bool keep, const MakeImages& images, const Crew& crew) {
  comm::Communicator& comm = crew.comm;
  FeatureRows out;
  FeatureSums sums(nets::FeatureNet::kFeatures);
  std::vector<at::Tensor> kept;
  std::vector<double> seconds(static_cast<std::size_t>(comm.size()), 0.0);  // by rank
  for_chunks<Looked>(
      items, crew,
      [&](const Chunk& chunk) -> Looked {
        const c10::NoGradGuard no_grad;
        const Timer timer;
        const at::Tensor x = images(chunk);
        const double passed = timer.seconds();
        return {chunk.keep(net.features(x)), at::full({1}, passed, at::kDouble)};
      },
      [&](const Chunk& chunk, const Looked& looked) {
        sums.add(looked.features);
        if (keep) kept.push_back(looked.features);
        // As the chunks are dealt out; kept ones took their time on the ranks of another start.
        seconds[static_cast<std::size_t>(chunk.first / chunk.size) % seconds.size()] += looked.seconds.item<double>();
      });
  out.seconds = *std::max_element(seconds.begin(), seconds.end());
  comm.all_reduce(std::span<double>(&out.seconds, 1), comm::Op::kMax);
  comm::on_root(comm, [&] {
    out.moments = sums.moments();
    if (keep) out.features = at::cat(kept);
  });
  if (keep) out.features = on_every_rank(out.features, comm);
  return out;
}

fs::path moments_file(const nets::LoadedFeatureNet& features, const data::Dataset& dataset) {
  return features.file.parent_path() / fmt::format("moments-{}.safetensors", dataset.images_hash());
}

Moments training_moments(
    const data::Dataset& dataset, const nets::LoadedFeatureNet& features, std::int64_t chunk, const Crew& crew) {
  comm::Communicator& comm = crew.comm;
  Logger& logger = crew.logger;
  const auto count = static_cast<std::int64_t>(dataset.members(data::Split::kTrain).size());
  check(count >= 2, ExitCode::kUsage,
      "{}: {} training images; scores compare with all training images, at least 2: use the data set that the VAE "
      "was trained on",
      dataset.path().string(), count);
  const bool keeps = !features.file.empty();
  const auto fingerprint = fingerprint_of(features, dataset);
  std::optional<Moments> kept;
  comm::on_root(comm, [&] {
    if (keeps) kept = read_kept(moments_file(features, dataset), fingerprint, count, logger);
  });
  if (comm::any(comm, kept.has_value())) return kept.value_or(Moments());
  const auto images = [&](const Chunk& c) {
    return split_images(dataset, data::Split::kTrain, c.first, c.size, features.net->params().device());
  };
  const Moments made =
      collect_features(*features.net, {count, chunk, "features of the training images"}, false, images, crew).moments;
  comm::on_root(comm, [&] {
    if (keeps) keep(moments_file(features, dataset), made, fingerprint, logger);
  });
  return made;
}

}  // namespace hebm::evaluate
