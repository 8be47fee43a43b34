// Figures against limits that are measured in the same run: docs/performance.md.
#include <fmt/format.h>
#include <algorithm>
#include <iostream>
#include "base/error.h"
#include "cli/bench_langevin.h"
#include "cli/context.h"
#include "comm/report.h"
#include "data/latent_cache.h"
#include "storage/files.h"

namespace hebm::cli {
namespace {

constexpr int kRepetitions = 5;

double median_seconds(const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < kRepetitions; ++i) {
    const Timer timer;
    work();
    times.push_back(timer.seconds());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Seconds to pread one record of the same size in the same shard and row, for each position;
// offsets within a file are off by its header.
double pread_seconds(const std::string& directory, const data::CacheLayout& layout,
    const std::vector<std::int64_t>& position, std::size_t record) {
  const std::int64_t shards = layout.num_shards, images = layout.key.num_images;
  std::vector<std::unique_ptr<storage::ReadOnlyFile>> files;
  std::vector<std::int64_t> starts;
  for (std::int64_t s = 0; s < shards; ++s) {
    files.push_back(
        std::make_unique<storage::ReadOnlyFile>(std::filesystem::path(directory) / data::shard_name(s, shards)));
    starts.push_back(data::shard_range(s, shards, images).first);
  }
  std::vector<std::byte> raw(record);
  return median_seconds([&] {
    for (const std::int64_t p : position) {
      const auto s = static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), p) - starts.begin() - 1);
      files[s]->read_at(
          static_cast<std::uint64_t>(p - starts[s]) * static_cast<std::uint64_t>(layout.key.draws) * record, raw);
    }
  });
}

// Random records through LatentCache::read against pread of the same byte ranges.
nlohmann::json bench_cache(const std::string& directory) {
  const auto cache = data::LatentCache::open(directory);
  const auto count = std::min<std::int64_t>(cache.num_images(), 4096);
  const std::int64_t dim = cache.layout().dim();
  std::vector<std::int64_t> position, draw(static_cast<std::size_t>(count), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    position.push_back(static_cast<std::int64_t>(
        permute(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(cache.num_images()), {}, 0)));
  }
  std::vector<float> out(static_cast<std::size_t>(count * dim));
  const double bytes = static_cast<double>(count * dim) * static_cast<double>(bytes_of(cache.layout().key.dtype));
  const double ours = median_seconds([&] { cache.read(position, draw, out); });
  const auto record = static_cast<std::size_t>(bytes / static_cast<double>(count));
  const double plain = pread_seconds(directory, cache.layout(), position, record);
  return {
      {"gb_s", bytes / ours / 1e9}, {"pread_gb_s", bytes / plain / 1e9}, {"ratio", plain / ours}, {"records", count}};
}

nlohmann::json bench_allreduce(comm::Communicator& comm) {
  auto rows = nlohmann::json::array();
  for (const auto& rate : comm::all_reduce_check(comm)) {
    rows.push_back({{"bytes", rate.bytes}, {"us", rate.seconds * 1e6}, {"algbw_gb_s", rate.algbw_gb_s},
        {"busbw_gb_s", rate.busbw_gb_s}});
  }
  return {{"ranks", comm.size()}, {"rows", rows}};
}

class Bench : public Command {
 public:
  Bench()
      : Command("hebm_dist bench langevin|draw|allreduce|cache [DIRECTORY] [--json]",
            "langevin: one Langevin step against the matrix-product rate; draw: images of a VAE's Gaussian "
            "prior; allreduce: sums over "
            "ranks; cache: reads of a latent cache against pread.") {}
  bool reads_pipeline_ini() const override { return true; }

  void declare(Options& options) override {
    options.add_positional("WHAT", &what_, "langevin, draw, allreduce or cache", true);
    options.add_positional("DIRECTORY", &directory_, "for cache: the latent cache", false);
    options.add("json", &json_, "for machines", Show::kCommon);
    langevin_.describe(options);
    comm_options_.describe(options);
  }

  int execute(const Invocation&) override {
    const auto comm = comm::make_communicator(comm_options_);
    const comm::Placement placement = comm::place(*comm, comm_options_);
    const at::Device device = device_of(placement.gpu);
    set_arithmetic(placement, comm_options_);
    nlohmann::json out;
    if (what_ == "langevin") {
      out = bench_langevin(langevin_, device);
    } else if (what_ == "draw") {
      out = bench_draw(langevin_, device);
    } else if (what_ == "cache") {
      check(!directory_.empty(), ExitCode::kUsage, "bench cache: name the cache's folder");
      out = bench_cache(directory_);
    } else {
      check(what_ == "allreduce", ExitCode::kUsage, "bench {}: expected langevin, draw, allreduce or cache", what_);
      out = bench_allreduce(*comm);
    }
    if (comm->is_root()) std::cout << out.dump(json_ ? -1 : 2) << "\n";
    return 0;
  }
 private:
  std::string what_, directory_;
  bool json_ = false;
  LangevinBench langevin_;
  comm::CommOptions comm_options_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"bench">() { return std::make_unique<Bench>(); }

}  // namespace hebm::cli
