#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <iostream>
#include <thread>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "base/shell.h"
#include "cli/command.h"
#include "cli/sweep_check.h"
#include "comm/end_process.h"
#include "report/report.h"
#include "storage/files.h"
#include "storage/json.h"
#include "sweep/collect.h"
#include "sweep/runner.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;
using sweep::Layout;
using sweep::Plan;
using sweep::Standing;
using sweep::Task;

void print_members(const Plan& plan) {
  for (const auto& member : plan.members) std::cout << member.name() << " " << member.describe() << "\n";
}

std::string line_of(const std::string& name, const std::string& what, const sweep::State& state) {
  std::string line = fmt::format("{:<6} {:<9} {}", name, name_of(state.standing), what);
  if (state.standing == Standing::kDone || state.standing == Standing::kWaiting) return line;
  if (!state.step.empty()) line += ": " + state.step;
  if (state.exit_code != 0) line += fmt::format(" returned {}", state.exit_code);
  return state.why.empty() ? line : line + ": " + state.why;
}

bool matches(const std::string& wanted, Standing standing) {
  return wanted == name_of(standing) ||
         (wanted == "unfinished" && (standing == Standing::kWaiting || standing == Standing::kResumable));
}

class Sweep : public Command {
 public:
  Sweep()
      : Command(
            "hebm_dist sweep plan SWEEP.ini [--from RUN] -o DIR | run DIR [--jobs J] | status DIR | retry DIR | "
            "collect DIR",
            "plan: expands a grid of options into members and checks each as --dry-run does. run: trains, samples and "
            "scores the members on this machine; again: goes on. retry: the failed ones once more. collect: tables and "
            "report.html (docs/operations.md).") {}

  void declare(Options& o) override {
    o.add_positional("VERB", &verb_, "plan, run, status, retry or collect", true);
    o.add_positional("SWEEP.ini|DIR", &target_, "plan: the sweep's file; else the planned sweep", true);
    o.add("out", &out_, "plan: folder of the sweep (also -o)", Show::kCommon);
    o.add("from", &from_,
        "plan: a run whose VAE, classifier, latent cache and, where it has one, data set all members share",
        Show::kCommon);
    o.add("jobs", &jobs_, "run, retry: members at a time", {1, 100000}, Show::kCommon);
    o.add("launcher", &launcher_,
        "run, retry: what starts the ranks of a command, for example \"launch/mpirun -n 4\", quoted as for a shell; "
        "empty: one process",
        Show::kCommon);
    o.add("member", &member_,
        "run: this member alone, as a batch job: leave with its exit code when it is interrupted; -1: all",
        {-1, sweep::kMaxMembers});
    o.add("shared", &shared_, "run: VAE, classifier and cache alone, as a batch job");
    o.add("max_restarts", &max_restarts_,
        "run, retry: restarts in a row without getting further until a member counts as failed", {0, 1000});
    o.add_choice("indices", &indices_, {"", "waiting", "running", "resumable", "failed", "done", "unfinished"},
        "status: only the numbers of these members, separated by commas (unfinished: waiting or resumable)");
    o.add("check", &check_, "status: checks all members as plan does, for jobs of HEBM_RANKS ranks");
    o.add("json", &json_, "status: for machines", Show::kCommon);
  }

  std::vector<std::string> words(Arguments args) const override {
    auto out = Command::words(args);
    std::replace(out.begin(), out.end(), std::string("-o"), std::string("--out"));
    return out;
  }

  int execute(const Invocation& call) override {
    if (verb_ == "plan") return plan_sweep(call.dry_run);
    check(!call.dry_run, ExitCode::kUsage, "sweep {}: --dry-run is for plan", verb_);
    if (verb_ == "run" || verb_ == "retry") return run_sweep();
    if (verb_ == "status") return sweep_status();
    check(verb_ == "collect", ExitCode::kUsage, "sweep {}: expected plan, run, status, retry or collect", verb_);
    return collect_sweep();
  }
 private:
  int plan_sweep(bool dry_run) const {
    check(!out_.empty() || dry_run, ExitCode::kUsage, "sweep plan: -o DIR is missing");
    Plan plan = sweep::read_sweep(target_);
    if (!from_.empty()) sweep::share(plan, from_);
    const fs::path target = fs::absolute(out_.empty() ? "sweep" : out_).lexically_normal();
    const bool there = fs::exists(target);
    if (there && !dry_run) {
      const Plan former = sweep::read_plan(Layout(target));
      check(former.members == plan.members && former.common == plan.common, ExitCode::kUsage,
          "{} holds another plan; choose another folder, or remove that one", target.string());
      print_members(plan);
      std::cerr << fmt::format("{} is there already, with these {} members\n", target.string(), plan.members.size());
      return 0;
    }
    // Written under a temporary name, checked there, and published whole.
    const Layout draft(storage::temporary_name(target));
    try {
      sweep::write_plan(draft, plan);
      check_plan(draft, target, plan);
      if (!dry_run) storage::rename_new_durable(draft.root, target);
    } catch (...) {
      storage::remove_tree(draft.root);
      throw;
    }
    if (dry_run) storage::remove_tree(draft.root);
    print_members(plan);
    std::cerr << fmt::format("{} members, all checked as --dry-run does{}\n", plan.members.size(),
        dry_run ? "; nothing was planned" : "; next: hebm_dist sweep run " + shell_quote(target.string()));
    return 0;
  }

  sweep::RunSettings run_settings(const Plan& plan) const {
    sweep::RunSettings settings;
    settings.program = shell_words(launcher_);
    settings.program.push_back(fs::read_symlink("/proc/self/exe").string());
    settings.scheduled = member_ >= 0 || shared_;
    // Members that share the cores: bits depend on the threads of a rank, so a resumed sweep wants
    // the same --jobs.
    const auto threads = static_cast<std::int64_t>(std::thread::hardware_concurrency()) / jobs_;
    if (!settings.scheduled && launcher_.empty() && plan.value("comm.threads").empty() &&
        !plan.varies("comm.threads")) {
      settings.options = {"--comm.threads", std::to_string(std::max<std::int64_t>(1, threads))};
    }
    settings.jobs = jobs_;
    settings.max_restarts = max_restarts_;
    const char* restarts = std::getenv("SLURM_RESTART_COUNT");
    settings.restarted = settings.scheduled && restarts != nullptr && std::atoi(restarts) > 0;
    settings.on_lost = [](const std::string& why) {
      fmt::print(stderr, "hebm_dist: error: {}; this job ends\n", terminal_text(why));
      comm::leave_now(static_cast<int>(ExitCode::kRuntime));
    };
    return settings;
  }

  // A batch job's part: one member, or what all share.
  int run_part(const Layout& layout, const Plan& plan, sweep::Runner& runner) const {
    const Task shared = shared_task(layout, plan);
    if (shared_) return shared.done() ? 0 : runner.run({shared});
    check(member_ < std::ssize(plan.members), ExitCode::kUsage, "--member {}: {} has members 0 to {}", member_,
        layout.root.string(), plan.members.size() - 1);
    check(shared.done(), ExitCode::kUsage,
        "the sweep's VAE, classifier and cache are {}: run `hebm_dist sweep run {} --shared` first",
        name_of(shared.state().standing), shell_quote(layout.root.string()));
    const Task task = member_task(layout, plan, plan.members[static_cast<std::size_t>(member_)]);
    return task.done() ? 0 : runner.run({task});
  }

  // What `run` and `retry` take up. Others are said to be left alone.
  std::vector<Task> chosen(const Layout& layout, const Plan& plan, Logger& logger) const {
    std::vector<Task> tasks;
    for (const auto& member : plan.members) {
      Task task = member_task(layout, plan, member);
      const sweep::State state = task.state();
      if (state.standing == Standing::kDone) continue;
      const bool failed = state.standing == Standing::kFailed;
      if (failed == (verb_ == "retry")) {
        tasks.push_back(std::move(task));
      } else if (failed) {
        logger.line("{}: failed before, left alone (sweep retry): {} returned {}: {}", task.label, state.step,
            state.exit_code, state.why);
      }
    }
    return tasks;
  }

  int run_sweep() const {
    const Layout layout(fs::absolute(target_).lexically_normal());
    const Plan plan = sweep::read_plan(layout);
    const sweep::RunSettings settings = run_settings(plan);
    Logger logger;
    const StopFlag stop;
    sweep::Runner runner(settings, stop, logger);
    if (settings.scheduled) return run_part(layout, plan, runner);
    const storage::Lease lease(layout.root, "sweep " + verb_, settings.on_lost, storage::LeaseTimes{},
        {[&](const std::string& line) { logger.write(line); }, [&] { return stop.requested(); }});
    const Task shared = shared_task(layout, plan);
    if (!shared.done()) {
      if (const int code = runner.run({shared}); code != 0) return code;
    }
    const std::vector<Task> tasks = chosen(layout, plan, logger);
    const int code = tasks.empty() ? 0 : runner.run(tasks);
    if (code != 0 || stop.requested()) return code;
    const auto rows = sweep::collect_rows(layout, plan);
    if (num_done(rows) < std::ssize(rows)) return static_cast<int>(ExitCode::kRuntime);
    logger.line(
        "all {} members are done; next: hebm_dist sweep collect {}", rows.size(), shell_quote(layout.root.string()));
    return 0;
  }

  int sweep_status() const {
    const Layout layout(target_);
    const Plan plan = sweep::read_plan(layout);
    if (check_) check_plan(layout, layout.root, plan);
    const sweep::State shared = shared_task(layout, plan).state();
    std::array<std::int64_t, 5> counts{};
    nlohmann::json members = nlohmann::json::array();
    std::string lines = line_of("shared", "VAE, classifier, cache", shared) + "\n", indices;
    for (const auto& row : sweep::collect_rows(layout, plan)) {
      ++counts[static_cast<std::size_t>(row.state.standing)];
      lines += line_of(row.member.name(), row.member.describe(), row.state) + "\n";
      if (matches(indices_, row.state.standing))
        indices += fmt::format("{}{}", indices.empty() ? "" : ",", row.member.number);
      members.push_back(results::to_json(row.state));
      members.back().update({{"member", row.member.name()}, {"settings", row.member.describe()}});
    }
    std::string totals;
    for (const Standing s :
        {Standing::kDone, Standing::kRunning, Standing::kResumable, Standing::kWaiting, Standing::kFailed}) {
      totals += fmt::format("{}{} {}", totals.empty() ? "" : ", ", counts[static_cast<std::size_t>(s)], name_of(s));
    }
    if (!indices_.empty()) {
      std::cout << indices << "\n";
    } else if (json_) {
      std::cout << storage::json_text(nlohmann::json{{"shared", name_of(shared.standing)}, {"members", members}}, 2)
                << "\n";
    } else {
      std::cout << lines << plan.members.size() << " members: " << totals << "\n";
    }
    return 0;
  }

  int collect_sweep() const {
    const Layout layout(target_);
    const Plan plan = sweep::read_plan(layout);
    const auto rows = sweep::collect_rows(layout, plan);
    const std::int64_t left = std::ssize(rows) - num_done(rows);
    const std::string name = fs::absolute(layout.root).lexically_normal().filename().string();
    const std::string markdown = sweep::markdown_of(name, rows);
    storage::create_folders(layout.results());
    storage::write_file_atomic(layout.results() / "sweep.csv", sweep::csv_of(rows));
    storage::write_file_atomic(layout.results() / "sweep.md", markdown);
    storage::write_file_atomic(
        layout.results() / "sweep.json", storage::json_text(results::to_json(sweep::sweep_of(rows)), 2) + "\n");
    storage::write_file_atomic(layout.root / "report.html", report::render_report(layout.root));
    std::cout << markdown;
    std::cerr << fmt::format("{}/{{sweep.csv,sweep.md,sweep.json}} and {}\n", layout.results().string(),
        (layout.root / "report.html").string());
    check(left == 0, ExitCode::kRuntime,
        "{} of {} members are missing in the tables; `hebm_dist sweep status {}` says why", left, rows.size(),
        shell_quote(layout.root.string()));
    return 0;
  }

  std::string verb_, target_, out_, from_, launcher_, indices_;
  std::int64_t jobs_ = 1, member_ = -1, max_restarts_ = sweep::kMaxRestarts;
  bool shared_ = false, json_ = false, check_ = false;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"sweep">() { return std::make_unique<Sweep>(); }

}  // namespace hebm::cli
