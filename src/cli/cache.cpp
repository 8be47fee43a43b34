#include <fmt/format.h>
#include <iostream>
#include "base/error.h"
#include "cli/context.h"
#include "data/latent_cache.h"
#include "storage/json.h"

namespace hebm::cli {

namespace {

class Cache : public Command {
 public:
  Cache()
      : Command("hebm_dist cache info|verify DIRECTORY [--json]",
            "info: key, sizes and moments of u by layer. verify: every record's hash.") {}

  void declare(Options& options) override {
    options.add_positional("VERB", &verb_, "info or verify", true);
    options.add_positional("DIRECTORY", &directory_, "the cache (RUN/cache)", true);
    options.add("json", &json_, "for machines", Show::kCommon);
  }

  int execute(const Invocation&) override {
    check(verb_ == "info" || verb_ == "verify", ExitCode::kUsage, "cache {}: expected info or verify", verb_);
    const auto cache = data::LatentCache::open(directory_);
    if (verb_ == "verify") {
      Logger logger;
      StatusLine status(logger, "verify", cache.num_images());
      cache.verify([&](std::int64_t done, std::int64_t) { status.update(done); });
      status.finish();
      std::cout << fmt::format("{}: all {} records are whole\n", directory_, cache.num_images());
      return 0;
    }
    nlohmann::json out = {
        {"key", cache.layout().key.to_json()}, {"shards", cache.layout().num_shards}, {"dim", cache.layout().dim()}};
    std::string text = storage::json_text(out, 2) + "\n";
    const auto moments = cache.moments();
    for (std::size_t i = 0; i < moments.size(); ++i) {
      const auto& g = cache.layout().groups[i];
      const bool far = moments[i].is_far();
      text += fmt::format("layer {} [{}, {}, {}]: mean {:+.4f}, variance {:.4f}{}\n", i, g.channels, g.height, g.width,
          moments[i].mean, moments[i].variance, far ? "  WARNING: far from N(0, 1)" : "");
      out["layers"].push_back({{"mean", moments[i].mean}, {"variance", moments[i].variance}, {"far", far}});
    }
    std::cout << (json_ ? storage::json_text(out, 2) + "\n" : text);
    return 0;
  }
 private:
  std::string verb_, directory_;
  bool json_ = false;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"cache">() { return std::make_unique<Cache>(); }

}  // namespace hebm::cli
