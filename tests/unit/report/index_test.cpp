#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "base/error.h"
#include "pages.h"
#include "report/report.h"
#include "storage/files.h"

namespace hebm::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string summary(const std::string& more, double gaussian = 40) {
  return fmt::format(
      R"({{{} "gaussian": {{"fd_fmnist": {}, "fd_posterior": {}}}, "reconstruction": {{"fd_fmnist": 7.25}},
      "posterior": {{"fd_fmnist": 7, "fd_posterior": 1}},
      "diffusion": {{"fd_fmnist": 10, "seconds": 61.5, "fd_posterior": 2.5}}}})",
      more, gaussian, gaussian / 4);
}

const char* const kNvae =
    R"("model": {"backbone": "nvae", "layers": 6, "latents": 30720, "levels": 2, "langevin_steps": 50},)";
const char* const kHvae =
    R"("model": {"backbone": "hvae", "layers": 3, "latents": 416, "levels": 3, "langevin_steps": 30},)";

class IndexTest : public ReportTest {
 protected:
  // Runs of the folder, as the command finds them.
  std::vector<fs::path> runs(const std::vector<std::string>& names) const {
    std::vector<std::string> folders;
    for (const std::string& name : names) folders.push_back((run_ / name).string());
    return runs_with_results(folders);
  }
  std::string page(const std::vector<std::string>& names) const {
    return render_index(runs(names), run_ / "index.html");
  }
  void put_two_runs() const {
    put("nvae/results/summary.json", summary(kNvae));
    put("hvae/results/summary.json", summary(kHvae, 16));
    put("nvae/results/env.json", R"({"time": 1767225600})");
    put_png("gaussian.png", 8, "nvae");
    put_png("diffusion.png", 9, "nvae");
    put_png("gaussian.png", 10, "hvae");
    put_png("diffusion.png", 11, "hvae");
  }
};

// The message of the Error(kUsage) that this throws.
template <class F> std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "not refused";
  return {};
}

// Whether these stand in the text, one behind the other.
::testing::AssertionResult in_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos)
      return ::testing::AssertionFailure() << "no '" << part << "' behind the parts before it";
    at += part.size();
  }
  return ::testing::AssertionSuccess();
}

TEST_F(IndexTest, IndexHasEveryRunSideBySide) {
  put_two_runs();
  const std::string html = page({"nvae", "hvae"});
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html));
  EXPECT_THAT(
      html, HasSubstr("<tr><td><a href=\"nvae/report.html\">nvae</a></td><td>NVAE</td><td "
                      "class=\"n\">6</td><td class=\"n\">30720</td><td class=\"n\">2</td>"
                      "<td class=\"n\">50</td><td class=\"n\">10.00</td><td class=\"n\">2.50</td>"
                      "<td class=\"n\">0.167</td><td class=\"n\">40.00</td><td class=\"n\">7.25</td>"
                      "<td class=\"n\">10.00</td><td class=\"n\">61.5</td><td class=\"n\">2026-01-01</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><td><a href=\"hvae/report.html\">hvae</a></td><td>HVAE</td><td "
                              "class=\"n\">3</td><td class=\"n\">416</td><td class=\"n\">3</td>"
                              "<td class=\"n\">30</td><td class=\"n\">4.00</td><td class=\"n\">2.50</td>"
                              "<td class=\"n\">0.500</td><td class=\"n\">16.00</td><td class=\"n\">7.25</td>"
                              "<td class=\"n\">10.00</td><td class=\"n\">61.5</td><td class=\"n\">-</td></tr>"));
  // A row of Fig. 8 a run, its own pictures: told by their sizes.
  EXPECT_TRUE(in_order(html, {"<div class=\"beside\">", "nvae</a>: NVAE, 6 layers, 30720 latents, T = 2, K = 50</h3>",
                                 "<div class=\"pair\">", "Gaussian prior, fd_fmnist 40.00</figcaption>", "width=\"8\"",
                                 "data:image/png;base64,", "Learned prior, fd_fmnist 10.00</figcaption>", "width=\"9\"",
                                 "</section>", "hvae</a>: HVAE, 3 layers, 416 latents, T = 3, K = 30</h3>",
                                 "<div class=\"pair\">", "Gaussian prior, fd_fmnist 16.00</figcaption>", "width=\"10\"",
                                 "Learned prior, fd_fmnist 10.00</figcaption>", "width=\"11\"", "</section>"}));
  EXPECT_THAT(html, Not(HasSubstr("class=\"missing\"")));
}

TEST_F(IndexTest, WhatAnOlderRunDoesNotHaveIsADash) {
  put("old/results/summary.json", R"({"gaussian": {"fd_fmnist": 40}, "diffusion": {"fd_fmnist": 10}})");
  put("other/results/transition-30.json", "{}");
  put_png("gaussian.png", 8, "other");
  put_png("diffusion-2.png", 8, "other");  // not the prior's own
  const std::string html = page({"old", "other"});
  EXPECT_TRUE(balanced(html));
  EXPECT_THAT(html, HasSubstr("old</a></td><td>-</td><td class=\"n\">-</td><td class=\"n\">-</td><td "
                              "class=\"n\">-</td><td class=\"n\">-</td><td class=\"n\">-</td><td "
                              "class=\"n\">-</td><td class=\"n\">-</td><td class=\"n\">40.00</td>"));
  EXPECT_THAT(html, HasSubstr("other</a></td><td>-</td><td class=\"n\">-</td><td class=\"n\">-</td><td "
                              "class=\"n\">-</td><td class=\"n\">-</td><td class=\"n\">-</td>"));
  EXPECT_TRUE(in_order(html, {"old</a></h3>", "Gaussian prior: no picture; <code>hebm_dist evaluate</code>",
                                 "Learned prior: no picture; <code>hebm_dist sample</code>", "other</a></h3>",
                                 "Gaussian prior</figcaption>", "Learned prior: no picture"}));
}

TEST_F(IndexTest, WhateverStandsInTheFilesIsNoErrorAndEscaped) {
  put("<script>x/results/summary.json",
      R"({"model": {"backbone": "<script>", "layers": [], "latents": 1e300, "levels": "2", "langevin_steps": -1}, "gaussian": {"fd_fmnist": 1e300}})");
  put("javascript:a#b?c%d/results/summary.json", R"({"model": 3, "diffusion": []})");
  put("list/results/summary.json", "[1]");
  put("broken/results/summary.json", "{");
  const std::string html = page({"<script>x", "javascript:a#b?c%d", "list", "broken"});
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(self_contained(html.substr(0, html.find("javascript:"))));
  EXPECT_THAT(
      html, AllOf(HasSubstr("<a href=\"%3Cscript%3Ex/report.html\">&lt;script&gt;x</a></td><td>&lt;script&gt;</td>"),
                HasSubstr("1e+300"), Not(HasSubstr("<script")),
                HasSubstr("<a href=\"javascript%3Aa%23b%3Fc%25d/report.html\">javascript:a#b?c%d</a>"),
                Not(HasSubstr("href=\"javascript:"))));
  EXPECT_LT(html.size(), 20000u) << "no number of 300 digits";
}

TEST_F(IndexTest, LinksAreSeenFromThePage) {
  put("here/a/results/summary.json", summary(kHvae));
  put("there/deep/a/results/summary.json", summary(kNvae));
  fs::create_directories(run_ / "pages");
  const auto both = runs({"here/a", "there/deep/a"});
  EXPECT_EQ(index_place(both), fs::canonical(run_) / "index.html") << "the nearest folder above both";
  EXPECT_EQ(index_place(runs({"here/a"})), fs::canonical(run_) / "here" / "index.html");
  EXPECT_THAT(
      render_index(both, run_ / "index.html"), AllOf(HasSubstr("href=\"here/a/report.html\">here/a<"),
                                                   HasSubstr("href=\"there/deep/a/report.html\">there/deep/a<")));
  EXPECT_THAT(render_index(both, run_ / "pages" / "x.html"),
      AllOf(HasSubstr("href=\"../here/a/report.html\">here/a<"), HasSubstr("href=\"../there/deep/a/report.html\"")));
}

TEST_F(IndexTest, PicturesBeyondTheBudgetAreNamed) {
  for (const char* run : {"a", "b", "c"}) {
    put(std::string(run) + "/results/summary.json", summary(""));
    put_png("gaussian.png", 600, run);
    put_png("diffusion.png", 600, run);
  }
  const std::string html = page({"a", "b", "c"});
  EXPECT_LT(html.size(), 2300000u);
  EXPECT_THAT(html, AllOf(HasSubstr("data:image/png"), HasSubstr("see c/samples/diffusion.png")));
}

TEST_F(IndexTest, ARunIsCountedOnceAndOneWithoutResultsIsRefused) {
  put_two_runs();
  put("empty/config.ini", "[run]\n");
  put("begun/results/env.json", "{}");
  put("file", "");
  fs::create_directory_symlink(run_ / "nvae", run_ / "link");
  const auto once = runs({"nvae", "nvae/", "hvae/../nvae", "link", "hvae"});
  ASSERT_EQ(once.size(), 2u);
  EXPECT_EQ(once[0], run_ / "nvae") << "as given";
  EXPECT_EQ(once[1], run_ / "hvae");
  for (const char* name : {"absent", "file"}) {
    EXPECT_THAT(refusal([&] {
      runs({"nvae", name});
    }),
        AllOf(HasSubstr((run_ / name).string()), HasSubstr("is not a folder")));
  }
  for (const char* name : {"empty", "begun"}) {
    EXPECT_THAT(refusal([&] {
      runs({"nvae", name});
    }),
        AllOf(HasSubstr((run_ / name).string()), HasSubstr("holds no results")));
  }
}

TEST_F(IndexTest, AForeignFileIsLeftAlone) {
  put_two_runs();
  put("nvae/report.html", render_report(run_ / "nvae"));
  put("page.html", "<html>mine</html>");
  put("short", "");
  fs::create_symlink(run_ / "nowhere", run_ / "dangling");
  for (const char* name : {"page.html", "short", "dangling", "nvae", "nvae/report.html"}) {
    const fs::path out = run_ / name;
    EXPECT_THAT(refusal([&] { check_index_place(out); }), AllOf(HasSubstr(out.string()), HasSubstr("--out"))) << name;
  }
  EXPECT_EQ(storage::read_file(run_ / "page.html"), "<html>mine</html>");
  EXPECT_TRUE(fs::is_symlink(run_ / "dangling"));
  EXPECT_THAT(refusal([&] { check_index_place(run_ / "absent" / "index.html"); }), HasSubstr("not a folder"));
}

TEST_F(IndexTest, AnIndexOfOursIsWrittenAnew) {
  put_two_runs();
  const auto both = runs({"nvae", "hvae"});
  const fs::path out = run_ / "index.html";
  check_index_place(out);  // free
  put("index.html", render_index({both[0]}, out));
  check_index_place(out);
  EXPECT_THAT(storage::read_file(out), Not(HasSubstr("hvae/report.html")));
  EXPECT_THAT(render_index(both, out), HasSubstr("hvae/report.html"));
}

}  // namespace
}  // namespace hebm::report
