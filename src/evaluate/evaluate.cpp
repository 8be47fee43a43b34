#include "evaluate/evaluate.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/options.h"
#include "evaluate/experiment.h"
#include "evaluate/feature_rows.h"
#include "evaluate/frechet.h"
#include "evaluate/kid.h"
#include "evaluate/precision_recall.h"
#include "prior/forward_pair.h"
#include "prior/reverse_chain.h"
#include "storage/hdf5.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void EvaluateOptions::describe(Options& o) {
  o.add("evaluate.num_images", &num_images, "images of every row", {100, 10000000}, Show::kCommon);
  o.add("evaluate.chunk", &chunk, "images of one unit of work", {1, 100000});
  o.add("evaluate.by_level", &by_level, "also the score of the chain started at the true u_t, for each t", Show::kCommon);
  o.add("evaluate.level_images", &level_images, "images of evaluate.by_level", {100, 10000000});
  o.add_list("evaluate.temperatures", &temperatures, "also the scores of both priors with every sigma of the decode times each of these (0.7,0.8,0.9,1)",
             {0.0, 10.0}, Show::kCommon);
  o.add("evaluate.temperature_images", &temperature_images, "images of evaluate.temperatures", {100, 10000000});
  o.add("evaluate.neighbours", &neighbours, "k of precision and recall", {1, 100});
  o.add("evaluate.seed", &seed, "seed of Gaussian samples, reconstruction noise and subsets", {0});
}

namespace {

class Evaluation {
 public:
  Evaluation(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm, Logger& logger)
      : options_(options), in_(inputs), comm_(comm), logger_(logger), seed_(static_cast<std::uint64_t>(options.seed)),
        device_(inputs.backbone.params().device()) {}

  nlohmann::json run(const fs::path& pictures);

 private:
  FeatureRows collect(std::int64_t n, bool keep, const MakeImages& images, const std::string& what) {
    return collect_features(*in_.features.net, origin_, n, options_.chunk, keep, images, comm_, logger_, what);
  }
  at::Tensor dataset_images(data::Split split, std::int64_t first, std::int64_t count) const {
    return split_images(in_.dataset, split, first, count, device_);
  }
  // One posterior draw u_0 of images of a split.
  vae::Posterior posterior(data::Split split, std::int64_t first, std::int64_t count) const {
    const auto index = split_members(in_.dataset, split, first, count);
    const std::vector<std::uint32_t> visits(index.size(), kVisit);
    return in_.backbone.posterior(
        vae::image_tensor(in_.dataset.read(index)).to(device_),
        vae::posterior_noise({seed_, 0, Purpose::kPosterior}, index, visits, in_.backbone.dim()).to(device_));
  }
  nlohmann::json score(const FeatureRows& rows, double seconds);
  // Precision and recall against the reference subset, rows shared by the ranks. Collective.
  PrecisionRecall manifold_scores(const at::Tensor& generated);
  at::Tensor shared_radii(const at::Tensor& features);
  double distance(const FeatureRows& rows) const { return frechet_distance(real_, rows.sums.moments()).total(); }
  at::Tensor sample_images(std::int64_t first, std::int64_t count) const;
  nlohmann::json levels();
  nlohmann::json temperatures(const fs::path& pictures);
  void write_grid(const fs::path& file, const at::Tensor& images, std::int64_t columns) const;
  void write_pictures(const fs::path& directory) const;

  static constexpr std::int64_t kGridColumns = 10;
  static constexpr std::uint32_t kVisit = 2000000;
  const EvaluateOptions& options_;
  const EvaluateInputs& in_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::uint64_t seed_;
  at::Device device_;
  std::vector<double> origin_ = std::vector<double>(static_cast<std::size_t>(nets::FeatureNet::kFeatures), 0.0);
  Moments real_;
  at::Tensor real_features_, real_radii_;
};

struct Rows {
  std::int64_t first, count;
};

Rows rows_of(const comm::Communicator& comm, std::int64_t n) {
  const std::int64_t first = n * comm.rank() / comm.size();
  return {first, n * (comm.rank() + 1) / comm.size() - first};
}

at::Tensor Evaluation::shared_radii(const at::Tensor& features) {
  const std::int64_t n = features.size(0);
  std::vector<double> all(static_cast<std::size_t>(n), 0.0);
  comm::agree(comm_, [&] {
    const Rows mine = rows_of(comm_, n);
    if (mine.count == 0) return;
    const at::Tensor radii = neighbour_radii(features, options_.neighbours, mine.first, mine.count).contiguous();
    std::copy_n(radii.const_data_ptr<double>(), mine.count, all.begin() + mine.first);
  });
  comm_.all_reduce(std::span<double>(all), comm::Op::kSum);  // every entry comes from one rank: exact
  at::Tensor out = at::empty({n}, at::kDouble);
  std::copy(all.begin(), all.end(), out.mutable_data_ptr<double>());
  return out;
}

PrecisionRecall Evaluation::manifold_scores(const at::Tensor& generated) {
  if (!real_radii_.defined()) real_radii_ = shared_radii(real_features_);
  const at::Tensor radii = shared_radii(generated);
  std::vector<double> inside(2, 0.0);
  comm::agree(comm_, [&] {
    const Rows g = rows_of(comm_, generated.size(0)), r = rows_of(comm_, real_features_.size(0));
    if (g.count > 0) inside[0] = static_cast<double>(count_inside(generated.narrow(0, g.first, g.count), real_features_, real_radii_));
    if (r.count > 0) inside[1] = static_cast<double>(count_inside(real_features_.narrow(0, r.first, r.count), generated, radii));
  });
  comm_.all_reduce(std::span<double>(inside), comm::Op::kSum);
  return {inside[0] / static_cast<double>(generated.size(0)), inside[1] / static_cast<double>(real_features_.size(0))};
}

nlohmann::json Evaluation::score(const FeatureRows& rows, double seconds) {
  const Kid kid = kernel_distance(real_features_, rows.features, {.key = {seed_, 0, Purpose::kSubset}});
  const PrecisionRecall pr = manifold_scores(rows.features);
  return {{"fd_fmnist", distance(rows)},    {"num_images", rows.sums.count()}, {"seconds", seconds},
          {"kid", kid.mean},                {"kid_error", kid.standard_error}, {"precision", pr.precision},
          {"recall", pr.recall}};
}

at::Tensor Evaluation::sample_images(std::int64_t first, std::int64_t count) const {
  const auto file = storage::H5File::open(in_.samples);
  const auto info = file.info("images");
  const ImageShape shape = in_.backbone.image_shape();
  const std::vector<std::uint64_t> image = {static_cast<std::uint64_t>(shape.channels), static_cast<std::uint64_t>(shape.height),
                                            static_cast<std::uint64_t>(shape.width)};
  check(info.shape.size() == 4 && std::equal(image.begin(), image.end(), info.shape.begin() + 1), ExitCode::kCorrupt,
        "{}: images of another shape than the VAE's {} x {} x {}", in_.samples.string(), image[0], image[1], image[2]);
  const auto available = static_cast<std::int64_t>(info.shape[0]);
  check(available >= options_.num_images, ExitCode::kUsage,
        "{} holds {} images, evaluate.num_images is {}; sample more (sample.count) or score fewer", in_.samples.string(), available,
        options_.num_images);
  ImageBatch batch;
  batch.shape = shape;
  batch.count = count;
  batch.pixels.resize(static_cast<std::size_t>(count * shape.size()));
  const std::int64_t start = std::min(first, available - count);  // a padded last chunk reads earlier rows
  check(start >= 0, ExitCode::kUsage, "evaluate.chunk = {} is more than the {} images of {}", count, available, in_.samples.string());
  file.read_rows("images", storage::H5Type::kU8, static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(count),
                 {reinterpret_cast<std::byte*>(batch.pixels.data()), batch.pixels.size()});
  if (start != first) {  // bring row `first` to the front
    std::rotate(batch.pixels.begin(), batch.pixels.begin() + (first - start) * shape.size(), batch.pixels.end());
  }
  return vae::image_tensor(batch).to(device_);
}

nlohmann::json Evaluation::run(const fs::path& pictures) {
  const c10::NoGradGuard no_grad;
  const auto num_train = static_cast<std::int64_t>(in_.dataset.members(data::Split::kTrain).size());
  const auto num_test = static_cast<std::int64_t>(in_.dataset.members(data::Split::kTest).size());
  const std::int64_t n = options_.num_images;
  check(n <= num_test && n <= num_train, ExitCode::kUsage,
        "evaluate.num_images = {}: the data set has {} training and {} test images; every row uses the same number", n, num_train,
        num_test);
  const auto train = [&](std::int64_t first, std::int64_t count) { return dataset_images(data::Split::kTrain, first, count); };
  real_ = training_moments(in_.dataset, *in_.features.net, options_.chunk, comm_, logger_);
  real_features_ = collect(n, true, train, "features of the reference subset").features;

  nlohmann::json out;
  const auto test = collect(num_test, false, [&](std::int64_t first, std::int64_t count) {
    return dataset_images(data::Split::kTest, first, count);
  }, "features of the test images");
  const auto gaussian = collect(n, true, [&](std::int64_t first, std::int64_t count) {
    const at::Tensor u = prior::normal_rows(in_.backbone.dim(), {seed_, 0, Purpose::kPriorNoise}, prior::chain_ids(first, count), {}, device_);
    return in_.backbone.mean_image(in_.backbone.decode(u));
  }, "Gaussian prior");
  const auto reconstruction = collect(n, true, [&](std::int64_t first, std::int64_t count) {
    return in_.backbone.mean_image(in_.backbone.decode_posterior(posterior(data::Split::kTest, first, count)));
  }, "reconstructions");
  out["gaussian"] = score(gaussian, gaussian.seconds);
  out["reconstruction"] = score(reconstruction, reconstruction.seconds);
  out["sanity_test_vs_train"] = {{"fd_fmnist", distance(test)},
                                 {"num_images", num_test},
                                 {"of_gaussian", distance(test) / out["gaussian"]["fd_fmnist"].get<double>()}};
  if (fs::exists(in_.samples)) {
    const auto ours = collect(n, true, [&](std::int64_t first, std::int64_t count) { return sample_images(first, count); }, "samples");
    const auto stored = storage::H5File::open(in_.samples);
    double seconds = std::stod(stored.string_attribute("seconds"));
    seconds *= static_cast<double>(n) / static_cast<double>(stored.info("images").shape[0]);
    out["diffusion"] = score(ours, seconds);
    const double g = out["gaussian"]["fd_fmnist"], r = out["reconstruction"]["fd_fmnist"], d = out["diffusion"]["fd_fmnist"];
    out["gap_closed"] = (g - d) / (g - r);
    out["samples"] = nlohmann::json::parse(stored.string_attribute("identity"));
  } else {
    logger_.line("{} is not there: no row for the diffusion prior (run `hebm_dist sample` first)", in_.samples.string());
  }
  out["features"] = {{"accuracy", in_.features.accuracy}, {"hash", in_.features.hash}};
  out["reference_images"] = num_train;
  if (options_.by_level) out["by_level"] = levels();
  if (!options_.temperatures.empty()) out["by_temperature"] = temperatures(pictures);
  comm::agree(comm_, [&] {
    if (comm_.is_root()) write_pictures(pictures);
  });
  return out;
}

// For each t: decode the true u_t, and run the reverse chain from it. Says which level holds the quality back.
nlohmann::json Evaluation::levels() {
  check(in_.prior != nullptr, ExitCode::kUsage, "evaluate.by_level needs a trained prior");
  const prior::Schedule& schedule = in_.prior->schedule();
  const prior::ReverseChain chain(*in_.prior, in_.backbone, in_.langevin);
  const std::int64_t n = options_.level_images;
  auto out = nlohmann::json::array();
  for (std::int64_t t = 0; t <= schedule.num_levels; ++t) {
    const auto noisy = [&](std::int64_t first, std::int64_t count) {
      const auto ids = prior::chain_ids(first, count);
      at::Tensor u = posterior(data::Split::kTrain, first, count).u;
      const at::Tensor noise = prior::normal_rows(in_.backbone.dim(), {seed_, 0, Purpose::kForwardNoise}, ids,
                                                  std::vector<std::int64_t>(ids.item.size(), t), device_);
      const auto level = static_cast<std::size_t>(t);
      return u.mul_(schedule.alpha_cum[level]).add_(noise, schedule.sigma_cum[level]);
    };
    nlohmann::json row = {{"t", t}, {"num_images", n}};
    row["decode_true"] = distance(collect(n, false, [&](std::int64_t first, std::int64_t count) {
      return in_.backbone.mean_image(in_.backbone.decode(noisy(first, count)));
    }, fmt::format("true u_{} decoded", t)));
    if (t > 0) {
      row["from_true"] = distance(collect(n, false, [&](std::int64_t first, std::int64_t count) {
        const at::Tensor u0 = chain.run(noisy(first, count), t - 1, seed_, prior::chain_ids(first, count));
        return in_.backbone.mean_image(in_.backbone.decode(u0));
      }, fmt::format("chain from the true u_{}", t)));
    }
    out.push_back(row);
  }
  return out;
}

// u_0 of a chunk is drawn once and decoded at every temperature: the chains run at temperature 1.
nlohmann::json Evaluation::temperatures(const fs::path& pictures) {
  check(in_.prior != nullptr, ExitCode::kUsage, "evaluate.temperatures needs a trained prior");
  const prior::ReverseChain chain(*in_.prior, in_.backbone, in_.langevin);
  auto out = nlohmann::json::array();
  for (const double temperature : options_.temperatures) out.push_back({{"temperature", temperature}, {"num_images", options_.temperature_images}});
  for (const std::string name : {"gaussian", "diffusion"}) {
    std::map<std::int64_t, at::Tensor> drawn;  // by first chain, this rank's chunks
    const auto draw = [&](std::int64_t first, std::int64_t count) {
      const auto ids = prior::chain_ids(first, count);
      return name == "diffusion" ? chain.sample(seed_, ids)
                                 : prior::normal_rows(in_.backbone.dim(), {seed_, 0, Purpose::kPriorNoise}, ids, {}, device_);
    };
    std::vector<at::Tensor> rows;
    for (auto& row : out) {
      const double temperature = row["temperature"];
      const auto decoded = collect(options_.temperature_images, true, [&](std::int64_t first, std::int64_t count) {
        if (!drawn.contains(first)) drawn[first] = draw(first, count).to(at::kCPU);
        const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(drawn[first].to(device_), temperature));
        if (first == 0) rows.push_back(x.narrow(0, 0, std::min(count, kGridColumns)).clone());
        return x;
      }, fmt::format("{} prior at temperature {}", name, temperature));
      row[name] = score(decoded, decoded.seconds);
      row[name].erase("seconds");  // of the first temperature: with the chains
    }
    comm::agree(comm_, [&] {
      if (comm_.is_root()) write_grid(pictures / fmt::format("temperature-{}.png", name), at::cat(rows, 0), rows[0].size(0));
    });
  }
  return out;
}

void Evaluation::write_grid(const fs::path& file, const at::Tensor& images, std::int64_t columns) const {
  fs::create_directories(file.parent_path());
  storage::write_png_grid(file, vae::image_batch(images), columns);
}

void Evaluation::write_pictures(const fs::path& directory) const {
  constexpr std::int64_t kImages = 100;
  const at::Tensor u = prior::normal_rows(in_.backbone.dim(), {seed_, 0, Purpose::kPriorNoise}, prior::chain_ids(0, kImages), {}, device_);
  write_grid(directory / "gaussian.png", in_.backbone.mean_image(in_.backbone.decode(u)), kGridColumns);
  // Originals in odd rows, their reconstructions below.
  const at::Tensor originals = dataset_images(data::Split::kTest, 0, kImages / 2);
  const at::Tensor drawn = in_.backbone.mean_image(in_.backbone.decode_posterior(posterior(data::Split::kTest, 0, kImages / 2)));
  const auto rows = [](const at::Tensor& x) { return x.unflatten(0, {-1, kGridColumns}); };
  write_grid(directory / "reconstruction.png", at::stack({rows(originals), rows(drawn)}, 1).flatten(0, 2), kGridColumns);
}

}  // namespace

nlohmann::json evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm, Logger& logger,
                        const fs::path& picture_directory) {
  return Evaluation(options, inputs, comm, logger).run(picture_directory);
}

}  // namespace hebm::evaluate
