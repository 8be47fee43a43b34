#include "cli/bench_gemm.h"
#include <ATen/Parallel.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <vector>
#include "base/error.h"
#include "base/status.h"
#include "nets/gemm.h"
#include "nets/gemm_choice.h"

namespace hebm::cli {
namespace {

using nets::Gemm, nets::GemmSize;

// Of the small nets (images x patch x channels), NVAE's cells (pixels x channels x hidden, both
// ways) and a square.
constexpr std::array<GemmSize, 11> kSizes = {
    {{24, 32, 96}, {96, 32, 288}, {96, 128, 512}, {768, 32, 96}, {2048, 384, 64}, {1024, 768, 128}, {1024, 128, 768},
        {4096, 32, 192}, {4096, 192, 32}, {256, 128, 512}, {1024, 1024, 1024}}};
constexpr double kSeconds = 0.04;
// Rounds take all choices in turn, so that other work on the machine meets them alike.
constexpr int kRepetitions = 2, kRounds = 4;

double rate_of(const GemmSize& size) {
  const auto values = [](std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), 0.5f); };
  const auto a = values(size.rows * size.inner), b = values(size.inner * size.columns);
  auto out = values(size.rows * size.columns);
  const auto product = [&] {
    nets::multiply(nets::Matrix{a.data(), size.inner}, {b.data(), size.columns}, {out.data(), size.columns}, size);
  };
  product();
  double best = 0;
  for (int k = 0; k < kRepetitions; ++k) {
    const Timer timer;
    double count = 0;
    for (; timer.seconds() < kSeconds; ++count) product();
    best = std::max(best, count / timer.seconds());
  }
  return 2e-9 * static_cast<double>(size.rows * size.columns * size.inner) * best;
}

std::string errno_text() { return std::generic_category().message(errno); }

// The rates of all sizes by this choice.
std::vector<double> rates_of(Gemm choice, int threads, std::span<const GemmSize> sizes) {
  std::vector<double> rates(sizes.size());
  std::array<int, 2> ends{};
  check(::pipe(ends.data()) == 0, ExitCode::kEnvironment, "bench gemm: no pipe: {}", errno_text());
  const pid_t child = ::fork();
  check(child >= 0, ExitCode::kEnvironment, "bench gemm: no process: {}", errno_text());
  const auto bytes = static_cast<ssize_t>(rates.size() * sizeof(double));
  if (child == 0) {
    ::close(ends[0]);
    at::set_num_threads(threads);
    nets::set_gemm(choice);
    std::ranges::transform(sizes, rates.begin(), rate_of);
    ::_exit(::write(ends[1], rates.data(), static_cast<std::size_t>(bytes)) == bytes ? 0 : 1);
  }
  ::close(ends[1]);
  const ssize_t got = ::read(ends[0], rates.data(), static_cast<std::size_t>(bytes));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  check(got == bytes && status == 0, ExitCode::kRuntime, "bench gemm: the process for {} ended early", name_of(choice));
  return rates;
}

std::vector<Choice<Gemm>> possible_choices(const nets::Processor& processor) {
  std::vector<Choice<Gemm>> out;
  for (const auto& choice : choices_of(Gemm{})) {
    if (choice.value != Gemm::kAuto && nets::gemm_possible(choice.value, processor)) out.push_back(choice);
  }
  return out;
}

}  // namespace

double best_product_rate(int threads) {
  double best = 0;
  for (const auto& choice : possible_choices(nets::this_processor()))
    best = std::max(best, rates_of(choice.value, threads, std::span(kSizes).last(1))[0]);
  return best;
}

nlohmann::json bench_gemm(int threads) {
  constexpr double kWrong = 0.9;  // of the best rate: timings differ by less
  const nets::Processor processor = nets::this_processor();
  const std::string rule(name_of(nets::gemm_rule(processor)));
  auto rows = nlohmann::json::array(), wrong = nlohmann::json::array();
  for (const GemmSize& size : kSizes) rows.push_back({{"m", size.rows}, {"k", size.inner}, {"n", size.columns}});
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& choice : possible_choices(processor)) {
      const auto rates = rates_of(choice.value, threads, kSizes);
      for (std::size_t k = 0; k < rates.size(); ++k) {
        auto& best = rows[k]["gflop_s"][std::string(choice.name)];
        best = std::max(rates[k], round > 0 ? best.get<double>() : 0.0);
      }
    }
  }
  for (auto& row : rows) {
    const auto& rates = row["gflop_s"];
    const auto best = std::max_element(rates.begin(), rates.end());
    if (rates.at(rule).get<double>() < kWrong * best->get<double>())
      wrong.push_back({{"m", row["m"]}, {"k", row["k"]}, {"n", row["n"]}, {"faster", best.key()},
          {"times", best->get<double>() / rates.at(rule).get<double>()}});
  }
  return {{"threads", threads}, {"rule", rule}, {"rows", rows}, {"rule_is_wrong_at", wrong}};
}

}  // namespace hebm::cli
