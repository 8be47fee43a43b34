#include "evaluate/hierarchy.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include "base/error.h"
#include "data/batch_order.h"
#include "evaluate/chunks.h"
#include "evaluate/posterior.h"
#include "evaluate/probe.h"
#include "prior/chains.h"

namespace hebm::evaluate {

void HierarchyOptions::describe(Options& o) {
  o.add("hierarchy.num_images", &num_images, "test images of every number", {2, 10000000}, Show::kCommon);
  o.add("hierarchy.probe_images", &probe_images, "training images of the probes for labels", {2, 10000000},
      Show::kCommon);
  o.add("hierarchy.chunk", &chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
  o.add("hierarchy.seed", &seed, "seed of all draws, of the pairs of images and of the probes", {0});
}

namespace {

// Of images of one split, one posterior draw each.
struct Draws {
  at::Tensor u, kl;  // [n, D], [n, L] nats
  static void tensors(auto& d, auto& visit) { visit(d.u, d.kl); }
};
// What the classifier makes of images.
struct Looks {
  at::Tensor features, classes;  // [n, F], [n]
  static void tensors(auto& l, auto& visit) { visit(l.features, l.classes); }
};

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).to(at::kDouble).square().sum(1).sqrt().mean().item<double>();
}
double changed(const at::Tensor& a, const at::Tensor& b) { return a.ne(b).to(at::kDouble).mean().item<double>(); }

class Measurement {
 public:
  Measurement(const HierarchyOptions& options, const ScoreInputs& in, const Crew& crew)
      : options_(options), in_(in), crew_(crew), comm_(crew.comm), device_(in.backbone.params().device()) {
    for (const auto& [split, wanted] :
        {std::pair{data::Split::kTest, options.num_images}, {data::Split::kTrain, options.probe_images}}) {
      const auto there = std::ssize(in.dataset.members(split));
      check(wanted <= there, ExitCode::kUsage, "hierarchy.{} = {}: {} has {} {} images",
          split == data::Split::kTest ? "num_images" : "probe_images", wanted, in.dataset.path().string(), there,
          name_of(split));
    }
    for (const auto& place : data::BatchOrder(n(), n(), seed()).members(0, 0, n())) ring_.push_back(place.position);
  }

  results::Hierarchy run() const {
    const c10::NoGradGuard no_grad;
    const Draws test = draws(data::Split::kTest, n());
    const at::Tensor u = on_every_rank(test.u, comm_);
    results::Hierarchy out;
    out.num_images = n();
    out.probe_images = options_.probe_images;
    const Looks own = looks("reconstructions", [&](const Chunk& c) { return rows_of(u, c); });
    const Looks gaussian = looks("Gaussian prior", [&](const Chunk& c) { return noise(c); });
    const Moments real = training_moments(in_.dataset, in_.features, options_.chunk, crew_);
    for (std::size_t i = 0; i < in_.backbone.groups().size(); ++i) out.layers.push_back(layer(i, u, own));
    const Draws train = in_.dataset.labels().empty() ? Draws() : draws(data::Split::kTrain, options_.probe_images);
    comm::on_root(comm_, [&] {
      out.fd_gaussian = frechet(real, gaussian);
      out.fd_reconstruction = frechet(real, own);
      out.reconstruction_of_gaussian = out.fd_reconstruction / out.fd_gaussian;
      add_kl(out, test);
      if (train.u.defined()) add_probes(out, train, test);
    });
    out.features = classifier(in_.features);
    return out;
  }
 private:
  std::int64_t n() const { return options_.num_images; }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(options_.seed); }

  // On rank 0.
  Draws draws(data::Split split, std::int64_t count) const {
    std::vector<at::Tensor> u, kl;
    for_chunks<Draws>(
        {count, options_.chunk, fmt::format("posterior of {} images", name_of(split))}, crew_,
        [&](const Chunk& c) {
          const auto q = draw(in_, {.split = split, .seed = seed(), .visit = visits::kHierarchy}, c.first, c.size);
          return Draws{c.keep(q.u), c.keep(at::stack(q.kl, 1))};
        },
        [&](const Chunk&, const Draws& d) {
          u.push_back(d.u);
          kl.push_back(d.kl);
        });
    return comm_.is_root() ? Draws{at::cat(u), at::cat(kl)} : Draws();
  }

  // Of images of u_of(chunk) [chunk.size, D], on rank 0.
  Looks looks(const std::string& what, const std::function<at::Tensor(const Chunk&)>& u_of) const {
    std::vector<at::Tensor> features, classes;
    for_chunks<Looks>(
        {n(), options_.chunk, what}, crew_,
        [&](const Chunk& c) {
          const Seen seen = see(in_, u_of(c));
          return Looks{c.keep(seen.features), c.keep(seen.classes)};
        },
        [&](const Chunk&, const Looks& l) {
          features.push_back(l.features);
          classes.push_back(l.classes);
        });
    return comm_.is_root() ? Looks{at::cat(features), at::cat(classes)} : Looks();
  }

  // Images of a chunk in the order of the ring, in which each has the next as its partner: all
  // numbers are means over the images, so their order is free.
  std::vector<std::int64_t> ring(std::int64_t first, std::int64_t count) const {
    std::vector<std::int64_t> out;
    for (std::int64_t k = first; k < first + count; ++k) out.push_back(ring_[static_cast<std::size_t>(k % n())]);
    return out;
  }
  at::Tensor rows_of(const at::Tensor& u, const Chunk& c, std::int64_t shift = 0) const {
    return u.index_select(0, at::tensor(ring(c.first + shift, c.size), at::kLong)).to(device_);
  }
  at::Tensor noise(const Chunk& c) const {
    return prior::prior_noise(prior::chain_ids(seed(), c.first, c.size), in_.backbone.dim(), device_);
  }
  // u with the columns of layers first .. last - 1 from `other`.
  at::Tensor replaced(const at::Tensor& u, const at::Tensor& other, std::size_t first, std::size_t last) const {
    auto parts = vae::split_layers(u, in_.backbone.groups());
    const auto others = vae::split_layers(other, in_.backbone.groups());
    for (std::size_t i = first; i < last; ++i) parts[i] = others[i];
    return vae::join_layers(parts);
  }

  results::HierarchyLayer layer(std::size_t i, const at::Tensor& u, const Looks& own) const {
    const auto& groups = in_.backbone.groups();
    results::HierarchyLayer out;
    out.layer = static_cast<std::int64_t>(i);
    out.channels = groups[i].channels;
    out.side = groups[i].height;
    const Looks exchanged = looks(fmt::format("layer {} of another image", i),
        [&](const Chunk& c) { return replaced(rows_of(u, c), rows_of(u, c, 1), i, i + 1); });
    comm::on_root(comm_, [&] {
      out.class_changed = changed(exchanged.classes, own.classes);
      out.feature_distance =
          distance(exchanged.features, own.features) / distance(own.features.roll({-1}, {0}), own.features);
    });
    if (i + 1 == groups.size()) return out;
    const Looks below = looks(fmt::format("layers below {} drawn", i),
        [&](const Chunk& c) { return replaced(rows_of(u, c), noise(c), i + 1, groups.size()); });
    comm::on_root(comm_, [&] { out.below_drawn_class_changed = changed(below.classes, own.classes); });
    return out;
  }

  static double frechet(const Moments& real, const Looks& images) {
    FeatureSums sums(images.features.size(1));
    sums.add(images.features);
    return frechet_distance(real, sums.moments());
  }

  void add_kl(results::Hierarchy& out, const Draws& test) const {
    const at::Tensor kl = test.kl.to(at::kDouble).mean(0);
    const double whole = kl.sum().item<double>();
    const auto parts = vae::split_layers(test.u, in_.backbone.groups());
    for (std::size_t i = 0; i < out.layers.size(); ++i) {
      out.layers[i].kl = kl[static_cast<std::int64_t>(i)].item<double>();
      out.layers[i].kl_share = out.layers[i].kl / whole;
      out.layers[i].variance = parts[i].to(at::kDouble).var().item<double>();
    }
  }

  at::Tensor labels_of(data::Split split, std::int64_t count) const {
    const at::Tensor images = at::tensor(split_members(in_.dataset, split, 0, count), at::kLong);
    return at::tensor(in_.dataset.labels(), at::kLong).index_select(0, images);
  }

  void add_probes(results::Hierarchy& out, const Draws& train, const Draws& test) const {
    const auto of_train = vae::split_layers(train.u, in_.backbone.groups()),
               of_test = vae::split_layers(test.u, in_.backbone.groups());
    const at::Tensor train_labels = labels_of(data::Split::kTrain, options_.probe_images),
                     test_labels = labels_of(data::Split::kTest, n());
    const auto classes = std::ssize(data::label_column(in_.dataset, data::kLabels).categories);
    for (std::size_t i = 0; i < out.layers.size(); ++i)
      out.layers[i].probe_accuracy =
          probe_accuracy({of_train[i].flatten(1), train_labels}, {of_test[i].flatten(1), test_labels}, classes, seed());
  }

  const HierarchyOptions& options_;
  const ScoreInputs& in_;
  Crew crew_;
  comm::Communicator& comm_;
  at::Device device_;
  std::vector<std::int64_t> ring_;  // a permutation of the test images
};

}  // namespace

results::Hierarchy hierarchy(const HierarchyOptions& options, const ScoreInputs& inputs, const Crew& crew) {
  return Measurement(options, inputs, crew).run();
}

}  // namespace hebm::evaluate
