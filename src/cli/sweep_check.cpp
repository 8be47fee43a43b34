#include "cli/sweep_check.h"
#include <fmt/format.h>
#include <boost/algorithm/string/replace.hpp>
#include "base/error.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "evaluate/evaluate.h"
#include "sample/sample.h"
#include "sweep/tasks.h"

namespace hebm::cli {
namespace {

constexpr std::size_t kTold = 10;  // wrong members whose reason is told

void check_step(const sweep::Step& step) {
  for (const std::string& line : plan_lines(*find_command(step.command), step.options))
    check(line.find(kNotEnough) == std::string::npos, ExitCode::kUsage, "{}", line);
}

// What no --dry-run sees: scores want as many samples and test images, of the diffusion prior.
void check_counts(const sweep::Task& task) {
  Options options("", "");
  RunOptions run;
  sample::SampleOptions sampling;
  evaluate::EvaluateOptions evaluation;
  std::string kind{default_prior_kind().name};
  run.describe(options);
  add_prior_kind(options, &kind, "");
  sampling.describe(options);
  evaluation.describe(options);
  options.allow_known(pipeline_keys());
  options.parse(task.steps.front().options);
  check(prior_kind(kind).is_default(), ExitCode::kUsage,
      "prior.kind = {}: a sweep's table has the diffusion prior's scores; `hebm_dist evaluate --all` compares kinds",
      kind);
  check(sampling.count >= evaluation.num_images, ExitCode::kUsage,
      "sample.count = {} are fewer than evaluate.num_images = {}", sampling.count, evaluation.num_images);
  const data::Dataset dataset = open_dataset(run);
  for (const auto split : {data::Split::kTrain, data::Split::kTest}) {
    const std::size_t images = dataset.members(split).size();
    check(evaluation.num_images <= static_cast<std::int64_t>(images), ExitCode::kUsage,
        "evaluate.num_images = {}, but the data set has {} {} images", evaluation.num_images, images,
        split == data::Split::kTrain ? "training" : "test");
  }
}

// "" or what is wrong.
std::string problem_of(const sweep::Task& task) {
  std::string step;
  try {
    for (const sweep::Step& s : task.steps) {
      step = s.command + ": ";
      check_step(s);
    }
    step = "";
    if (task.products.size() == 1 && task.products[0].filename() == "summary.json") check_counts(task);
  } catch (const Error& e) {
    return fmt::format("{}: {}{}", task.label, step, e.what());
  }
  return "";
}

}  // namespace

void check_plan(const sweep::Layout& layout, const std::filesystem::path& target, const sweep::Plan& plan) {
  check(!plan.value("data.path").empty(), ExitCode::kUsage,
      "data.path is missing: a sweep's members read one data set; name it in the sweep's file");
  for (const char* key : {"run.vae", "run.features", "run.cache"}) {
    const std::string given = plan.value(key);
    check(given.empty() || std::filesystem::exists(given), ExitCode::kUsage,
        "{} = {} is not there; leave it out, and the sweep makes its own", key, given);
  }
  std::string told;
  std::size_t wrong = 0;
  const auto look = [&](const sweep::Task& task) {
    const auto problem = boost::replace_all_copy(problem_of(task), layout.root.string(), target.string());
    if (problem.empty()) return;
    if (++wrong <= kTold) told += "\n  " + problem;
  };
  look(shared_task(layout, plan));
  if (wrong == 0) {
    for (const sweep::Member& member : plan.members) look(member_task(layout, plan, member));
  }
  if (wrong > kTold) told += fmt::format("\n  and {} more", wrong - kTold);
  check(wrong == 0, ExitCode::kUsage, "{}{} of {} would fail:{}", layout.root == target ? "" : "nothing was planned, ",
      wrong, plan.members.size() + 1, told);
}

}  // namespace hebm::cli
