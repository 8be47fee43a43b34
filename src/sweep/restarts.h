// When an unfinished run may be started again by itself: as long as it gets further, and at most so
// many times without.
#pragma once
#include <compare>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace hebm::sweep {

// From the files of a run directory alone. Products (VAE, classifier, cache, prior, samples,
// scores) come before steps: what the unfinished ones have reached, verified updates and whole
// shards.
struct Progress {
  std::int64_t products = 0, steps = 0;
  auto operator<=>(const Progress&) const = default;
  std::string describe() const;  // "3 products, 400 steps of the next"
};
Progress progress_of(const std::filesystem::path& run);

// Of a training's folder: the newest checkpoint that verifies, else what is wrong with the oldest.
struct Newest {
  nlohmann::json manifest;  // null: none
  std::string problem;      // "": there is none at all
};
Newest newest_checkpoint(const std::filesystem::path& training);

inline constexpr std::int64_t kMaxRestarts = 3;

// To be called at each start. restarted: nobody asked for it but a scheduler or a loop. Counts in
// RUN/starts.json; Error(kRuntime) when max_restarts restarts in a row have found nothing new. A
// start that somebody asked for begins a new count.
void note_start(const std::filesystem::path& run, bool restarted, std::int64_t max_restarts = kMaxRestarts);

}  // namespace hebm::sweep
