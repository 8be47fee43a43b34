// Figures against limits that are measured in the same run: docs/performance.md.
#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>
#include "base/error.h"
#include "cli/bench_gemm.h"
#include "cli/bench_net.h"
#include "cli/context.h"
#include "comm/report.h"
#include "data/latent_cache.h"
#include "storage/files.h"
#include "train/gradient_sum.h"

namespace hebm::cli {
namespace {

constexpr int kRepetitions = 5;

double median_seconds(const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < kRepetitions; ++i) times.push_back(seconds_of(work));
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// Seconds to pread one record of the same size in the same shard and row, for each position;
// offsets within a file are off by its header.
double pread_seconds(const std::string& directory, const data::CacheLayout& layout,
    const std::vector<std::int64_t>& position, std::size_t record) {
  std::map<std::int64_t, storage::ReadOnlyFile> files;  // by the first position in it; of empty ones the next
  for (std::int64_t s = layout.num_shards; s-- > 0;)
    files.try_emplace(data::shard_range(s, layout.num_shards, layout.key.num_images).first,
        std::filesystem::path(directory) / data::shard_name(s, layout.num_shards));
  std::vector<std::byte> raw(record);
  return median_seconds([&] {
    for (const std::int64_t p : position) {
      const auto& [first, file] = *std::prev(files.upper_bound(p));
      file.read_at(static_cast<std::size_t>((p - first) * layout.key.draws) * record, raw);
    }
  });
}

// Random records through LatentCache::read against pread of the same byte ranges.
nlohmann::json bench_cache(const std::string& directory) {
  const auto cache = data::LatentCache::open(directory);
  const auto num_images = static_cast<std::uint64_t>(cache.num_images()),
             count = std::min<std::uint64_t>(num_images, 4096);
  const auto dim = static_cast<std::uint64_t>(cache.layout().dim());
  std::vector<std::int64_t> position, draw(count, 0);
  for (std::uint64_t i = 0; i < count; ++i)
    position.push_back(static_cast<std::int64_t>(permute(i, num_images, {}, 0)));
  std::vector<float> out(count * dim);
  const std::size_t record = dim * data::bytes_of(cache.layout().key.dtype);
  const double bytes = static_cast<double>(count * record);
  const double ours = median_seconds([&] { cache.read(position, draw, out); });
  const double plain = pread_seconds(directory, cache.layout(), position, record);
  return {
      {"gb_s", bytes / ours / 1e9}, {"pread_gb_s", bytes / plain / 1e9}, {"ratio", plain / ours}, {"records", count}};
}

// Microseconds of an update's gradient sums of so many nets, each a rank's zeros: the median over
// repetitions of the slowest rank's.
double sums_us(
    comm::Communicator& comm, at::Device device, std::int64_t num_nets, std::int64_t bytes, std::int64_t joined_bytes) {
  constexpr int kUpdates = 201;
  std::vector<nets::Parameters> params;
  params.reserve(static_cast<std::size_t>(num_nets));
  std::vector<train::Bucket> buckets;
  for (std::int64_t i = 0; i < num_nets; ++i) {
    nets::Parameters& net = params.emplace_back(0, 0);
    net.add("w", {bytes / 4}, nets::Init::kZero);
    net.flatten();
    net.to(device);
    buckets.push_back({"", net});
  }
  train::GradientSum sum(comm, buckets, false, 1, joined_bytes);
  std::vector<double> times;
  for (int i = 0; i < kUpdates; ++i) {
    sum.begin(std::vector<std::int64_t>(params.size(), 0));
    wait_for(params.back().grad());
    comm.barrier();
    std::array<double, 1> slowest = {seconds_of([&] {
      sum.finish();
      wait_for(params.back().grad());
    })};
    comm.all_reduce(slowest, comm::Op::kMax);
    times.push_back(slowest[0]);
  }
  std::ranges::nth_element(times, times.begin() + kUpdates / 2);
  return 1e6 * times[kUpdates / 2];
}

nlohmann::json bench_allreduce(comm::Communicator& comm, at::Device device) {
  auto rows = nlohmann::json::array(), updates = nlohmann::json::array();
  for (const auto& rate : comm::all_reduce_check(comm)) {
    rows.push_back({{"bytes", rate.bytes}, {"us", rate.seconds * 1e6}, {"algbw_gb_s", rate.algbw_gb_s},
        {"busbw_gb_s", rate.busbw_gb_s}});
  }
  constexpr std::int64_t kNets = 9, kNone = 0;
  for (const std::int64_t bytes : {4 << 10, 15 << 10, 60 << 10, 240 << 10}) {
    updates.push_back(
        {{"nets", kNets}, {"bytes_each", bytes}, {"separate_us", sums_us(comm, device, kNets, bytes, kNone)},
            {"joined_us", sums_us(comm, device, kNets, bytes, kNets * bytes)}});
  }
  return {{"ranks", comm.size()}, {"rows", rows}, {"updates", updates}};
}

class Bench : public Command {
 public:
  Bench()
      : Command("hebm_dist bench langevin|update|vae|draw|gemm|allreduce|cache [DIRECTORY] [--json]",
            "langevin: one Langevin step against the matrix-product rate; update, vae: an update of the energy nets or "
            "of the VAE, with its shares; draw: images of a VAE's Gaussian prior; gemm: matrix products by every "
            "choice of compute.gemm; allreduce: sums over ranks; cache: reads of a latent cache against pread.") {}
  bool reads_pipeline_ini() const override { return true; }

  void declare(Options& options) override {
    options.add_positional("WHAT", &what_, "langevin, update, vae, draw, gemm, allreduce or cache", true);
    options.add_positional("DIRECTORY", &directory_, "for cache: the latent cache", false);
    options.add("json", &json_, "for machines", Show::kCommon);
    net_.describe(options);
    describe_compute(options, comm_options_, &gemm_);
  }

  int execute(const Invocation&) override {
    const auto comm = comm::make_communicator(comm_options_);
    const comm::Placement placement = comm::place(*comm, comm_options_);
    const at::Device device = device_of(placement.gpu);
    nets::set_gemm(gemm_);
    set_arithmetic(placement, comm_options_);
    nlohmann::json out;
    constexpr std::pair<std::string_view, nlohmann::json (*)(const BenchNet&, at::Device)> kOfNets[] = {
        {"langevin", bench_langevin}, {"update", bench_update}, {"vae", bench_vae}, {"draw", bench_draw}};
    const auto of_net = std::ranges::find(kOfNets, what_, [](const auto& row) { return row.first; });
    if (of_net != std::end(kOfNets)) {
      if (what_ == "langevin" && device.is_cpu()) net_.product_rate = best_product_rate(placement.threads);
      out = of_net->second(net_, device);
    } else if (what_ == "gemm") {
      check(comm->size() == 1, ExitCode::kUsage, "bench gemm: one process is measured; leave the launcher out");
      out = bench_gemm(placement.threads);
    } else if (what_ == "cache") {
      check(!directory_.empty(), ExitCode::kUsage, "bench cache: name the cache's folder");
      out = bench_cache(directory_);
    } else {
      check(what_ == "allreduce", ExitCode::kUsage,
          "bench {}: expected langevin, update, vae, draw, gemm, allreduce or cache", what_);
      out = bench_allreduce(*comm, device);
    }
    if (comm->is_root()) std::cout << out.dump(json_ ? -1 : 2) << "\n";
    return 0;
  }
 private:
  std::string what_, directory_;
  bool json_ = false;
  BenchNet net_;
  comm::CommOptions comm_options_;
  nets::Gemm gemm_ = nets::Gemm::kAuto;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"bench">() { return std::make_unique<Bench>(); }

}  // namespace hebm::cli
