#include "report/report.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include "../results/example_files.h"
#include "base/error.h"
#include "pages.h"

namespace hebm::report {
namespace {

using results::test::kPriors;
using results::test::kSummary;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ReportTest, EmptyFolderSaysWhatIsMissing) {
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  for (const char* part : {"No scores yet", "No pictures yet", "No curves yet", "Not measured", "No commands recorded",
           "No <code>config.ini</code>", "No <code>env.json</code>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, Not(HasSubstr("could not be used")));
  EXPECT_LT(html.size(), 20000u);
}

const char* const kOod = R"({"format": "hebm-ood", "version": 1, "positive": "out", "num_layers": 30,
  "in": {"name": "fashion", "num_images": 2000}, "out": {"name": "<digits>", "num_images": 2000}, "rows": [
  {"scheme": "elbo", "auroc": 0.1234, "auroc_low": 0.11, "auroc_high": 0.14, "aupr": 0.4, "fpr95": 0.99, "histogram": {"low": 0, "high": 10, "in": [5, 1], "out": [2, 4]}},
  {"scheme": "inference", "k": 0, "auroc": 0.61, "auroc_low": 0.59, "auroc_high": 0.63, "aupr": 0.6, "fpr95": 0.8, "histogram": {"low": 0, "high": 1, "in": [3, 3], "out": [1, 5]}},
  {"scheme": "inference", "k": 27, "auroc": 0.81, "aupr": 0.7, "fpr95": 0.5, "histogram": {"low": -1, "high": 1, "in": [6, 0], "out": [0, 6]}},
  {"scheme": "diffusion", "k": 0, "auroc": 0.75, "aupr": 0.7, "fpr95": 0.5},
  {"scheme": "diffusion", "k": 27, "auroc": 0.9312, "auroc_low": 0.92, "auroc_high": 0.94, "aupr": 0.9, "fpr95": 0.2, "histogram": {"low": -1, "high": 1, "in": [6, 0], "out": [0, 6]}}]})";

TEST_F(ReportTest, OutOfDistributionHasPlotsAndTable) {
  put("results/ood-digits.json", kOod);
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  for (const char* part : {"href=\"#ood\"", "fashion against &lt;digits&gt;", "AUROC", "diffusion scheme",
           "inference scheme", "Energy of layers above 27, diffusion scheme", "-ELBO (nats)", "0.931 (0.920 - 0.940)",
           "0.123 (0.110 - 0.140)", "2000 test images", "&lt;digits&gt; (out)",
           "<td class=\"n\">27</td><td class=\"n\">3</td>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, Not(HasSubstr("Other results"))) << "not twice";
  EXPECT_THAT(html, Not(HasSubstr("Energy of layers above 0, diffusion scheme"))) << "no histogram, no plot";
}

// Whatever stands in the file: no error, and nothing of it unescaped.
TEST_F(ReportTest, OutOfDistributionOfAnyContent) {
  put("results/ood-a.json", R"({"format": "hebm-ood"})");
  put("results/ood-b.json",
      R"({"format": "hebm-ood", "in": 3, "out": {"name": 4}, "num_layers": "<b>", "rows": [1, [], {}, {"k": "x"}, {"scheme": "elbo", "auroc": null,
    "histogram": 7}, {"scheme": "diffusion", "k": 1e300, "auroc": -1e300, "histogram": {"low": 1, "high": 1, "in": ["<i>", 1], "out": {}}}]})");
  put("results/ood-c.json", R"({"format": "other", "rows": 1})");
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<b>\"")), Not(HasSubstr("<i>"))));
  EXPECT_THAT(html, HasSubstr("ood-c")) << "another format is among the other results";
}

TEST_F(ReportTest, NotAFolderIsAUsageError) {
  put("file", "");
  for (const fs::path& path : {run_ / "file", run_ / "absent"}) {
    try {
      render_report(path);
      FAIL() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      EXPECT_THAT(e.what(), HasSubstr(path.string()));
    }
  }
}

TEST_F(ReportTest, FullFolder) {
  put("results/summary.json", kSummary);
  put("results/ood.json", R"({"auroc": {"mnist": 0.98}})");
  put("config.ini", "[langevin]\nsteps = 30  # default\neta = 3e-5  # command line\n");
  put("prior-joint/config.ini", "[prior]\nkind = joint\n");
  put("prior-nce/config.ini", "[prior]\nkind = nce\n");
  put("prior/env.json",
      R"({"command": ["hebm_dist", "train", "--run.name", "it's"], "version": "0.1.0", "time": 1767225600})");
  std::string lines;
  for (int i = 0; i < 3000; ++i) {
    lines += fmt::format(
        "{{\"step\":{0},\"time_s\":1.0,\"loss\":{1},\"gap/t0\":{1},\"attempt\":0}}\n", i, std::sin(i * 0.01));
  }
  put("prior/metrics.jsonl", lines + "{\"step\": 3000, \"lo");  // torn by a kill
  for (const char* name :
      {"gaussian.png", "reconstruction.png", "diffusion.png", "step-0000100.png", "step-0000200.png"})
    put_png(name, 32);
  const std::string html = render_report(run_, {{"prior-joint", "Joint EBM prior"}});
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  EXPECT_THAT(html, Not(HasSubstr("class=\"missing\"")));
  for (const char* part : {"37.41", "20.63", "7.21", "98 %", "0.551", "190.25", "5.03", "<td class=\"n\">0.020</td>",
           "0.0119 \u00B1 0.0002", "Against decoded posterior draws", "Against the training images",
           "<td class=\"n\">9.45</td>", "241.8 s|4 min", "accuracy 0.9112", "0123abcd", "<td class=\"n\">19.40</td>",
           "mnist", "Loss", "Energy gap by t", "Constant: Attempt", "<h3>Joint EBM prior</h3>", "<h3>prior-nce</h3>",
           "<h3>Energy-based prior</h3>", "hebm_dist train --run.name &#39;it&#39;\\&#39;&#39;s&#39;",
           "<td>eta</td><td>3e-5 <span class=\"soft\">command line</span>", "<td>steps</td><td>30</td>",
           "2026-01-01 00:00:00 UTC", "Gaussian prior</figcaption>", "While training",
           "data:image/png;base64,iVBORw0KGgo"}) {
    const std::string text = part;
    const auto bar = text.find('|');
    EXPECT_TRUE(html.find(text.substr(0, bar)) != std::string::npos ||
                (bar != std::string::npos && html.find(text.substr(bar + 1)) != std::string::npos))
        << part;
  }
  EXPECT_LT(html.find("Gaussian prior</figcaption>"), html.find("Test images, reconstructions"));
}

TEST_F(ReportTest, ChainsThatLeaveThePosteriorAreAWarning) {
  put("results/summary.json", kSummary);
  EXPECT_THAT(render_report(run_), Not(HasSubstr("Warning.")));
  auto json = nlohmann::json::parse(kSummary);
  json["diffusion"]["fd_fmnist"] = 7;
  json["diffusion"]["fd_posterior"] = 57.8;
  json["model"] = {{"langevin_steps", 60}, {"training_steps", 30}};
  put("results/summary.json", json.dump());
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_THAT(html, AllOf(HasSubstr("Warning. Ours: the chains leave the posterior."),
                        HasSubstr("Warning. The samples took 60 Langevin steps")));
}

TEST_F(ReportTest, ASummaryFromBeforeFdPosteriorIsShown) {
  put("results/summary.json", results::test::kOldSummary);
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_THAT(html, AllOf(HasSubstr("fd_posterior: -"), HasSubstr("20.63"), HasSubstr("Against the training images"),
                        Not(HasSubstr("of the gap closed")), Not(HasSubstr("Against decoded posterior draws"))));
}

TEST_F(ReportTest, NullsAndWrongShapesAreNotErrors) {
  put("results/summary.json",
      R"({"gaussian": {"fd_fmnist": null, "num_images": "many"}, "reconstruction": 3, "diffusion": {"fd_fmnist": 1e400},
      "gap_closed": null, "features": [], "by_level": [1, {"t": null}]})");
  put("results/list.json", "[]");
  put("results/deep.json", "[[[[[[[[[[[[1]]]]]]]]]]]]");
  put("prior/metrics.jsonl",
      "{\"step\":1,\"loss\":null}\n{\"step\":2,\"loss\":1.5,\"text\":\"x\"}\n{\"step\":3,\"loss\":[1]}\n");
  put("env.json", "[1, 2]");
  put("vae/env.json", "{\"time\": 1e300}");
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  EXPECT_THAT(html, Not(HasSubstr(">nan")));
}

TEST_F(ReportTest, BrokenFilesAreNamedAndTheRestIsShown) {
  put("results/summary.json", kSummary);
  put("results/broken.json", "{\"a\": ");
  const std::string deep = std::string(50000, '[') + std::string(50000, ']');
  put("results/nested.json", deep);
  put("env.json", deep);
  put("vae/metrics.jsonl", "{\"step\":1}\n");
  fs::resize_file(run_ / "vae/metrics.jsonl", std::uint64_t{1} << 30);  // sparse
  put("samples/fake.png", "not a picture at all, but long enough to have a header");
  put("samples/huge.png", std::string(9 << 20, 'x'));
  put("prior/metrics.jsonl", "{\"step\":1}\nnot json\n{\"step\":2}\n");
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  for (const char* file :
      {"results/broken.json: not valid JSON", "results/nested.json: not valid JSON", "env.json: not valid JSON",
          "nested 50000 deep", "samples/fake.png: not a PNG", "samples/huge.png: ", "prior/metrics.jsonl: "}) {
    EXPECT_THAT(html, HasSubstr(file));
  }
  EXPECT_THAT(html, HasSubstr("20.63"));
}

TEST_F(ReportTest, TextFromFilesIsEscapedEverywhere) {
  const std::string evil = "<script>alert(1)</script>";
  const std::string in_json = "<script>alert(1)<\\/script>";
  put("results/summary.json",
      "{\"" + in_json + "\": {\"fd_fmnist\": 1}, \"gaussian\": {\"fd_fmnist\": 2}, \"features\": {\"hash\": \"" +
          in_json + "\"}}");
  put("results/<script>.json", "{\"" + in_json + "\": [{\"" + in_json + "\": \"" + in_json + "\"}]}");
  put("results/list.json", "[{\"" + in_json + "\": \"" + in_json + "\"}]");
  put("config.ini", "[" + evil + "]\n" + evil + " = " + evil + "  # " + evil + "\n" + evil + "\n");
  put("env.json", "{\"command\": \"" + in_json + "\", \"" + in_json + "\": \"" + in_json + "\"}");
  put("<script>/metrics.jsonl", "{\"step\":1,\"" + in_json + "\":1,\"a\":1}\n{\"step\":2,\"" + in_json + "\":2}\n");
  put_png("<script>.png", 8);
  put_png("\"onerror=x.png", 8);
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(html, HasSubstr("&quot;onerror=x"));
}

// Noise does not compress: 40 grids of 360 KB would make a page of 19 MB.
TEST_F(ReportTest, PageStaysBelowTwoMegabytes) {
  for (int i = 0; i < 12; ++i) put_png(fmt::format("step-{:07}.png", i), 600);
  put_png("diffusion.png", 600);
  put_png("gaussian.png", 1200);
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    lines += fmt::format("{{\"step\":{}", i);
    for (int k = 0; k < 40; ++k)
      lines += fmt::format(",\"value{0}/t0\":{1},\"value{0}/t1\":{2}", k, (i * 7919 + k) % 101, (i * 104729) % 97);
    lines += "}\n";
  }
  put("prior/metrics.jsonl", lines);
  const std::string html = render_report(run_);
  EXPECT_LT(html.size(), 2300000u);
  EXPECT_THAT(html, HasSubstr("Too large for this page"));
  EXPECT_THAT(html, HasSubstr("samples/gaussian.png"));
  EXPECT_THAT(html, HasSubstr("more in metrics.jsonl"));
}

TEST_F(ReportTest, LinksOutOfTheRunAreNotFollowedAsParts) {
  put("outside/config.ini", "[secret]\nkey = value\n");
  fs::create_directories(run_ / "run");
  fs::create_directory_symlink(run_ / "outside", run_ / "run" / "linked");
  EXPECT_THAT(render_report(run_ / "run"), Not(HasSubstr("secret")));
}

TEST_F(ReportTest, ASweepHasItsTableAndAPlotOfEachOption) {
  put("results/sweep.json", R"({"members": [{"member": "0000", "state": "failed", "prior.T": "<1>"}],
    "settings": [{"name": "T = 1 & more", "members": 2, "fd_fmnist": {"mean": 12.5, "low": 12, "high": 13, "count": 2}, "sampling_s": {"mean": 3.25, "count": 1}}],
    "plots": [{"option": "T", "lines": [{"name": "K = 10", "x": [1, 2], "fd_fmnist": [30, 20], "sampling_s": [1, 2], "fd_posterior": [5, 4]}]}]})");
  const std::string html = render_report(run_);
  EXPECT_TRUE(balanced(html));
  EXPECT_THAT(
      html, AllOf(HasSubstr("fd_posterior over T"), HasSubstr("fd_fmnist over T"),
                HasSubstr("Sampling time (s) over T"), HasSubstr("T = 1 &amp; more"), HasSubstr("12.5 (12 - 13)"),
                HasSubstr("3.25"), HasSubstr("&lt;1&gt;"), Not(HasSubstr("No scores yet"))));
  for (const char* other : {"[]", "3", R"({"plots": [1, {"lines": [{"x": 3}]}], "settings": [2], "members": {}})"}) {
    put("results/sweep.json", other);
    EXPECT_TRUE(balanced(render_report(run_))) << other;
  }
}

TEST_F(ReportTest, ExperimentsHaveTheirSections) {
  put("results/transition-30.json",
      R"({"steps": 30, "num_images": 64, "training": {"black": 0.5, "white": 0.02}, "levels": [
    {"t": 1, "states": [{"k": 0, "energy": 7.25, "displacement": 0, "fd_fmnist": 91.5, "black": 0.41, "white": 0.011}, {"k": 30, "energy": -3.5}]},
    {"t": 0, "states": []}, "x"]})");
  put("results/vary.json",
      R"({"num_samples": 4, "variations": 2, "sets": [{"name": "0", "feature_distance": 12.75, "class_changed": 0.625}]})");
  put("results/hierarchy.json",
      R"({"layers": [{"layer": 0, "channels": 16, "side": 2, "kl": 20.125, "class_changed": 0.75}, 3], "fd_gaussian": 386.2})");
  put("results/summary.json",
      R"({"by_temperature": [{"temperature": 1, "gaussian": {"fd_fmnist": 55.5}, "diffusion": {"recall": 0.125}},
    {"temperature": 0.7, "gaussian": 3}, {"temperature": "x"}]})");
  for (const char* name : {"transition-30-t1.png", "transition-30-t10.png", "vary-0.png", "temperature-gaussian.png",
           "temperature-diffusion.png"})
    put_png(name, 8);
  const std::string page = render_report(run_);
  EXPECT_TRUE(balanced(page));
  EXPECT_THAT(
      page, AllOf(HasSubstr("30 steps a level, 64 chains"), HasSubstr("t = 1"), HasSubstr("7.25"), HasSubstr("12.75"),
                HasSubstr("0.625"), HasSubstr("55.5"), HasSubstr("0.125"), HasSubstr("training images")));
  EXPECT_THAT(
      page, AllOf(HasSubstr("href=\"#transition\""), HasSubstr("href=\"#vary\""), HasSubstr("href=\"#temperature\"")));
  EXPECT_THAT(page, AllOf(HasSubstr("href=\"#hierarchy\""), HasSubstr("16x2x2"), HasSubstr("20.12"), HasSubstr("386.2"),
                        Not(HasSubstr("nan"))));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("Other results")), Not(HasSubstr("<h3>Others</h3>"))));
  EXPECT_THAT(page, Not(HasSubstr("alt=\"Gaussian prior\""))) << "no picture of an experiment among the samples";
  std::size_t figures = 0;
  for (auto at = page.find("<figure>"); at != std::string::npos; at = page.find("<figure>", at + 1)) ++figures;
  EXPECT_EQ(figures, 4u) << "the level that is not there has no picture";
}

TEST_F(ReportTest, LabelsAndAttributesHaveTheirSections) {
  put("results/labels-top.json",
      R"({"num_samples": 40, "heads": [{"name": "kind<1>", "layers": [0, 2], "test": {"accuracy": 0.8125, "reader_accuracy": 0.9375},
    "drawn": {"accuracy": 0.71875, "own_accuracy": 0.75, "fd_fmnist": 33.25, "fd_fmnist_ratio": 1.125}, "imbalance_without_label": 0.0625,
    "by_category": [{"category": "T-shirt & top", "accuracy": 0.53125, "share_without_label": 0.09375}, 3]}, "x"]})");
  put("results/compose-top.json",
      R"({"num_samples": 24, "grid": [{"kind": "bag", "width": "wide"}, 1], "steps": [{"step": 2, "held_layers": [0, 1],
    "fd_fmnist": 44.5, "labels": [{"name": "width", "asked_in_step": 2, "accuracy": 0.65625, "kept": 0.96875}]}, []]})");
  put("results/labels-broken.json", R"({"heads": 3})");
  for (const char* name : {"labels-top-kind.png", "labels-top-kind<1>.png", "compose-top.png"}) put_png(name, 8);
  const std::string page = render_report(run_);
  EXPECT_TRUE(balanced(page));
  EXPECT_THAT(page, AllOf(HasSubstr("kind&lt;1&gt;"), HasSubstr("0,2"), HasSubstr("0.8125"), HasSubstr("0.7188"),
                        HasSubstr("33.25"), HasSubstr("1.125")));
  EXPECT_THAT(
      page, AllOf(HasSubstr("T-shirt &amp; top"), HasSubstr("0.9688"), HasSubstr("44.5"),
                HasSubstr("kind bag, width wide"), HasSubstr("href=\"#labels\""), HasSubstr("href=\"#compose\""),
                Not(HasSubstr("Other results")), Not(HasSubstr("<h3>Others</h3>"))));
  std::size_t figures = 0;
  for (auto at = page.find("<figure>"); at != std::string::npos; at = page.find("<figure>", at + 1)) ++figures;
  EXPECT_EQ(figures, 2u);
}

TEST_F(ReportTest, ExperimentsThatWereNotRunHaveNoSections) {
  const std::string page = render_report(run_);
  EXPECT_THAT(page, AllOf(Not(HasSubstr("#transition")), Not(HasSubstr("#vary")), Not(HasSubstr("#temperature")),
                        Not(HasSubstr("#labels")), Not(HasSubstr("#compose"))));
}

TEST_F(ReportTest, PriorsHaveTheirSection) {
  put("results/priors.json", kPriors);
  const std::string page = render_report(run_);
  EXPECT_TRUE(balanced(page));
  EXPECT_TRUE(self_contained(page));
  EXPECT_THAT(page,
      AllOf(HasSubstr("href=\"#priors\""),
          HasSubstr("<tr class=\"ours\"><td>Ours, T = 3</td><td class=\"n\">10.00</td><td class=\"n\">0.250</td>"),
          HasSubstr("<tr class=\"ours\"><td>Ours, T = 3</td><td class=\"n\">3.00</td><td class=\"n\">0.100</td>"),
          HasSubstr("2.46 M"), HasSubstr("0 (+ 100)"), HasSubstr("NCE, &lt;resampling&gt;"), HasSubstr("12.3"),
          Not(HasSubstr("Other results"))));
  for (const char* other :
      {"[]", "3", "{}", R"({"rows": 3})", R"({"rows": [1, {}, {"fd_fmnist": "x"}, {"fd_fmnist": null}]})"}) {
    put("results/priors.json", other);
    EXPECT_THAT(render_report(run_), Not(HasSubstr("#priors"))) << other;
  }
  put("results/priors.json",
      R"({"rows": [{"fd_fmnist": 1, "name": 3, "kind": [], "training_gradients": "<b>", "sampling_evaluations": -1e300}]})");
  EXPECT_TRUE(balanced(render_report(run_)));
}

}  // namespace
}  // namespace hebm::report
