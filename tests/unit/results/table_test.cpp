#include "results/table.h"
#include <gtest/gtest.h>
#include <cmath>
#include "results/experiments.h"
#include "results/summary.h"

namespace hebm::results::test {
namespace {

struct Row {
  std::string name;
  double value;
};

Table table() {
  const std::vector<ColumnOf<Row>> columns = {
      {{.title = "name", .align = Align::kLeft, .key = "name"}, [](const Row& r) { return r.name; }},
      {{.title = "value", .format = "{:.2f}", .width = 8, .gap = 2, .key = "v"}, &Row::value},
      {{.title = "empty", .key = "none"}, [](const Row&) { return std::string(); }},
      {{.title = "not in CSV"}, [](const Row&) { return std::string("x"); }}};
  return tabulate<Row>(columns, {{"a,b", 1.2345678}, {"longer", std::nan("")}});
}

TEST(Table, TextIsAligned) {
  EXPECT_EQ(text(table()),
      "name       value empty not in CSV\n"
      "a,b         1.23     -          x\n"
      "longer         -     -          x\n");
}

TEST(Table, WhatRoundsToZeroHasNoSign) {
  EXPECT_EQ(cell_text(-0.0004, "{:.3f}"), "0.000");
  EXPECT_EQ(cell_text(-0.0006, "{:.3f}"), "-0.001");
  EXPECT_EQ(cell_text(std::string("-"), "{:.3f}"), "-");
}

TEST(Table, CsvHasKeysAndSixDigits) { EXPECT_EQ(csv(table()), "name,v,none\n\"a,b\",1.23457,\nlonger,,\n"); }

TEST(Table, Markdown) {
  Table two = table();
  two.drop_empty_columns();
  EXPECT_EQ(
      markdown(two), "| name | value | not in CSV |\n| --- | --- | --- |\n| a,b | 1.23 | x |\n| longer | - | x |\n");
}

TEST(Table, OfExperimentsAsTheyArePrinted) {
  Transition transition;
  transition.training = {0.5, 0.25};
  transition.levels = {{1, 0.5, {{0, -1.5, 0.0, 40.0, {0.5, 0.125}, 12.5}}}};
  EXPECT_EQ(text_of(transition),
      "  t       k       energy displacement  fd_posterior  fd_fmnist   black   white\n"
      "  1       0        -1.50        0.000         12.50      40.00   0.500   0.125\n"
      "training images: black 0.500, white 0.250\n");
  Compose compose;
  compose.steps = {{1, {}, {}, {{"width", 2, 0.5, kUnknown, kUnknown}, {"group", 1, 0.25, 1.0, 1.0}}, 9.0}};
  EXPECT_EQ(text_of(compose),
      "step  label            asked in  accuracy   kept  fd_fmnist\n"
      "   1  width                   2     0.500      -       9.00\n"
      "   1  group                   1     0.250  1.000       9.00\n");
  Ood ood;
  ood.in = {"a", "", "", 5};
  ood.out.name = "b";
  ood.num_layers = 3;
  ood.rows = {{OodScheme::kElbo, {}, 1, 0.5, 1, 1, 0, 0, 0, {}}, {OodScheme::kInference, 2, 1, 0.5, 1, 1, 0, 0, 0, {}}};
  EXPECT_EQ(text_of(ood),
      "5 test images each of a (in) and b (out, the positive class); 3 latent layers\n"
      "score        k  AUROC [95 % interval]      AUPR  FPR95\n"
      "elbo         -  1.0000 [0.5000, 1.0000]  1.0000 0.0000\n"
      "inference    2  1.0000 [0.5000, 1.0000]  1.0000 0.0000\n");
}

TEST(Table, EveryScoreHasAColumnInTheTableOfScores) {
  Summary summary;
  summary.sets.resize(1);
  summary.sets[0].key = "gaussian";
  for (auto& score : summary.sets[0].scores) score.value = 0.5;
  const std::string shown = text_of(summary);
  for (const ScoreInfo& info : kScores) EXPECT_NE(shown.find(info.title), std::string::npos) << info.title;
  EXPECT_EQ(shown.find("time"), std::string::npos);  // of no row
}

}  // namespace
}  // namespace hebm::results::test
