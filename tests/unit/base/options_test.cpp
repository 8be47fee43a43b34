#include "base/options.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include "../support.h"

namespace hebm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

enum class Rule { kPaper, kExact };
constexpr std::array<Choice<Rule>, 2> choices_of(Rule) { return {{{"paper", Rule::kPaper}, {"exact", Rule::kExact}}}; }

struct Settings {
  std::int64_t steps = 50, seed = 1;
  double eta = 1e-5, scale = 1;
  bool spectral = true, online = false;
  std::string name = "a", kind = "diffusion";
  std::vector<std::int64_t> widths{2, 4, 8};
  std::vector<double> rates{0.1, 0.2};
  std::string run;
  std::vector<std::string> files;
  bool operator==(const Settings&) const = default;
};

class OptionsTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  static std::unique_ptr<Options> declare(Settings* s) {
    auto options = std::make_unique<Options>("hebm_dist train RUN [--section.key VALUE ...]", "Trains a prior.");
    options->add("langevin.steps", &s->steps, "steps K of a chain", {1, 1000}, Show::kCommon);
    options->add("langevin.eta", &s->eta, "step size", {0, 1}, Show::kCommon);
    options->add("train.seed", &s->seed, "seed");
    options->add("train.scale", &s->scale, "scale");
    options->add("train.online", &s->online, "encode on the fly");
    options->add("prior.spectral", &s->spectral, "spectral norm", Show::kCommon);
    options->add("prior.name", &s->name, "a name");
    options->add_choice("prior.kind", &s->kind, {"diffusion", "joint", "nce"}, "kind of prior");
    options->add_list("prior.widths", &s->widths, "widths", {1, 64});
    options->add_list("prior.rates", &s->rates, "rates");
    options->allow_known({"vae.width"});
    return options;
  }

  static Settings parse(const std::vector<std::string>& args) {
    Settings s;
    EXPECT_EQ(declare(&s)->parse(args), Options::Action::kRun);
    return s;
  }

  static std::string error_of(const std::vector<std::string>& args) {
    Settings s;
    return test::expect_error(ExitCode::kUsage, {}, [&] { declare(&s)->parse(args); });
  }

  std::string error_of_file(const std::string& text) const { return error_of({"--config", write("bad.ini", text)}); }

  test::TempFolder folder_;
};

TEST_F(OptionsTest, DefaultsStayWithoutArguments) { EXPECT_EQ(parse({}), Settings{}); }

TEST_F(OptionsTest, CommandLineForms) {
  const Settings s = parse({"--langevin.steps", "7", "--langevin.eta=0.25", "--prior.name", "two words", "--train.seed",
      "-3", "--prior.kind=nce", "--prior.widths", "1, 2,3", "--prior.rates=", "--train.scale=+2e3"});
  EXPECT_EQ(s.steps, 7);
  EXPECT_EQ(s.eta, 0.25);
  EXPECT_EQ(s.name, "two words");
  EXPECT_EQ(s.seed, -3);
  EXPECT_EQ(s.kind, "nce");
  EXPECT_EQ(s.widths, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_TRUE(s.rates.empty());
  EXPECT_EQ(s.scale, 2000);
}

TEST_F(OptionsTest, BoolForms) {
  for (const char* yes : {"true", "1", "yes", "on"}) {
    EXPECT_TRUE(parse({"--train.online", yes}).online) << yes;
    EXPECT_TRUE(parse({std::string("--train.online=") + yes}).online) << yes;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    EXPECT_FALSE(parse({"--prior.spectral", no}).spectral) << no;
    EXPECT_FALSE(parse({std::string("--prior.spectral=") + no}).spectral) << no;
  }
  EXPECT_TRUE(parse({"--train.online"}).online);
  EXPECT_THAT(error_of({"--train.online", "stray"}), HasSubstr("unexpected argument 'stray'"));
  const Settings s = parse({"--train.online", "--langevin.steps", "3"});
  EXPECT_TRUE(s.online);
  EXPECT_EQ(s.steps, 3);
  EXPECT_THAT(error_of({"--train.online=maybe"}),
      AllOf(HasSubstr("train.online"), HasSubstr("'maybe'"), HasSubstr("true or false")));
}

TEST_F(OptionsTest, CommandLineOverLaterFileOverEarlierFileOverDefault) {
  const std::string first =
      write("first.ini", "# comment\n; another\n[langevin]\nsteps = 10\neta = 0.5  # half\n[train]\nseed=2\n");
  const std::string second = write("second.ini", "[train]\r\nseed = 3\r\n\r\n[langevin]\r\nsteps = 20\r\n");
  const Settings s = parse({"--config", first, "--langevin.steps=30", "--config", second});
  EXPECT_EQ(s.steps, 30);
  EXPECT_EQ(s.seed, 3);
  EXPECT_EQ(s.eta, 0.5);
  EXPECT_TRUE(s.spectral);
  EXPECT_EQ(parse({"--langevin.steps=1", "--langevin.steps=2"}).steps, 2);
}

TEST_F(OptionsTest, ACommentNeedsABlankBeforeIt) {
  EXPECT_EQ(parse({"--config", write("a.ini", "[prior]\nname = a#b  # c\n")}).name, "a#b");
  EXPECT_EQ(parse({"--config", write("a.ini", "[prior]\nname = # c\n")}).name, "");
  EXPECT_EQ(parse({"--config", write("a.ini", "[prior]\nname = \"a # b\"# c\n")}).name, "a # b");
}

TEST_F(OptionsTest, UnknownKeysSuggestTheNearest) {
  EXPECT_THAT(error_of({"--langevin.step", "3"}), HasSubstr("did you mean --langevin.steps?"));
  EXPECT_THAT(error_of({"--steps", "3"}), HasSubstr("did you mean --langevin.steps?"));
  EXPECT_THAT(error_of({"--dryrun"}), HasSubstr("did you mean --dry-run?"));
  EXPECT_THAT(error_of({"--zzzzzzzzzzzz.q", "3"}), HasSubstr("--help-all"));
  EXPECT_THAT(error_of({"--x", "3"}), HasSubstr("--help-all"));
  EXPECT_THAT(error_of({"--langevin.ste", "3"}), HasSubstr("unknown"));  // no guessing by prefix
  EXPECT_THAT(error_of_file("[langevin]\n\nstep = 3\n"),
      AllOf(HasSubstr("bad.ini:3"), HasSubstr("did you mean langevin.steps?")));
  EXPECT_THAT(error_of_file("[langvin]\nsteps = 3\n"), HasSubstr("did you mean langevin.steps?"));
}

TEST_F(OptionsTest, KeysOfOtherCommandsAreSkippedInFilesOnly) {
  EXPECT_EQ(parse({"--config", write("a.ini", "[vae]\nwidth = 3\n[langevin]\nsteps = 9\n")}).steps, 9);
  EXPECT_THAT(error_of_file("[vae]\nheight = 3\n"), HasSubstr("unknown key vae.height"));
  EXPECT_THAT(error_of({"--vae.width", "3"}), HasSubstr("belongs to another command"));
}

TEST_F(OptionsTest, WrongValuesNameKeyValueRangeAndOrigin) {
  EXPECT_THAT(error_of({"--langevin.steps", "0"}),
      AllOf(HasSubstr("langevin.steps"), HasSubstr("'0'"), HasSubstr("[1, 1000]"), HasSubstr("command line")));
  EXPECT_THAT(error_of_file("[langevin]\nsteps = 1001\n"), AllOf(HasSubstr("'1001'"), HasSubstr("bad.ini:2")));
  for (const char* bad : {"12x", "1.5", "", " ", "0x10", "1e2", "9223372036854775808", "+-1", "1 2", "--5", "NaN"}) {
    EXPECT_THAT(error_of({std::string("--train.seed=") + bad}), HasSubstr("an integer")) << bad;
  }
  for (const char* bad : {"nan", "NaN", "inf", "-inf", "infinity", "1e999", "1.5x", "", "0,5", "1e", "."}) {
    EXPECT_THAT(error_of({std::string("--train.scale=") + bad}), HasSubstr("a finite number")) << bad;
  }
  EXPECT_THAT(error_of({"--prior.kind", "gan"}), HasSubstr("one of diffusion, joint, nce"));
  for (const char* bad : {"1,,2", "1,2,", ",", "1;2", "65", "0"}) {
    EXPECT_THAT(error_of({"--prior.widths", bad}), HasSubstr("each in [1, 64]")) << bad;
  }
  EXPECT_THAT(error_of({"--prior.rates", "1,nan"}), HasSubstr("finite numbers separated by commas"));
}

TEST_F(OptionsTest, AnOverriddenValueOfAFileIsCheckedToo) {
  EXPECT_THAT(
      error_of({"--config", write("b.ini", "[langevin]\nsteps = many\n"), "--langevin.steps=3"}), HasSubstr("'many'"));
}

TEST_F(OptionsTest, MissingValues) {
  EXPECT_THAT(error_of({"--langevin.steps"}), HasSubstr("langevin.steps"));
  EXPECT_THAT(error_of({"--prior.name", "--nonsense"}), HasSubstr("--prior.name needs a value"));
  EXPECT_EQ(parse({"--prior.name=--nonsense"}).name, "--nonsense");
  EXPECT_EQ(parse({"--prior.name="}).name, "");
  EXPECT_EQ(parse({"--prior.name", ""}).name, "");
}

TEST_F(OptionsTest, PresetsAreTheFilesOfConfigs) {
  EXPECT_EQ(detail::preset_file("smoke"), HEBM_SOURCE_DIR "/configs/smoke.ini");
  EXPECT_THAT(error_of({"--preset", "smok"}), AllOf(HasSubstr("--preset smok"), HasSubstr("quickstart, smoke")));
  EXPECT_THAT(error_of({"--preset", "../configs/smoke"}), HasSubstr("no such preset"));
  // Read like a file: its first key is no option of this test.
  EXPECT_THAT(
      error_of({"--preset", "nvae-mnist"}), AllOf(HasSubstr("nvae-mnist.ini"), HasSubstr("unknown key vae.kind")));
}

TEST_F(OptionsTest, FilesThatAreNoConfigurationAreRefused) {
  EXPECT_THAT(error_of({"--config", folder_ / "none.ini"}), HasSubstr("No such file"));
  EXPECT_THAT(error_of({"--config", folder_.path()}), HasSubstr("not a regular file"));
  EXPECT_THAT(error_of({"--config", "/dev/zero"}), HasSubstr("not a regular file"));
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of({"--config", pipe}), HasSubstr("not a regular file"));  // and does not wait for a writer
  EXPECT_THAT(error_of_file(std::string((1 << 20) + 1, '#')), HasSubstr("more than 1048576 bytes"));
  EXPECT_EQ(parse({"--config", write("big.ini", std::string(1 << 20, '#'))}), Settings{});
  EXPECT_THAT(error_of_file(std::string("[a]\0b = 1", 9)), HasSubstr("zero byte"));
}

TEST_F(OptionsTest, MalformedLinesNameFileAndLine) {
  for (const char* text : {"\n[langevin\n", "\n[lan gevin]\n", "\n[]\n", "\nsteps = 3\n", "[langevin]\nsteps\n",
           "[langevin]\n= 3\n", "[langevin]\nsteps = 3\nsteps = 3\n", "[prior]\nname = \"open\n",
           "[prior]\nname = \"a\" b\n", "[prior]\nname = \"\\q\"\n", "[prior]\nname = \"\\"}) {
    EXPECT_THAT(error_of_file(text), testing::ContainsRegex("bad.ini:[23]: ")) << text;
  }
  EXPECT_THAT(error_of_file("[langevin]\nsteps = 3\n[train]\n[langevin]\nsteps = 4\n"),
      AllOf(HasSubstr("bad.ini:5"), HasSubstr("line 2")));
}

TEST_F(OptionsTest, HostileBytesDoNotReachTheTerminal) {
  const std::string message = error_of_file("[langevin]\nsteps = \x1b[2J\x07" + std::string(5000, 'x') + "\n");
  EXPECT_THAT(message, Not(HasSubstr("\x1b")));
  EXPECT_LT(message.size(), 600u);
}

TEST_F(OptionsTest, DumpReadsBackToTheSameValues) {
  Settings s;
  const auto options = declare(&s);
  const std::string file = write("c.ini", "[prior]\nrates = 0.1,1e-300,3\n");
  options->parse(std::vector<std::string>{"--config", file, "--langevin.eta=0.1234567890123456789"});
  const std::string text = options->dump();
  EXPECT_THAT(text, HasSubstr("[langevin]\nsteps = 50  # default\neta = 0.12345678901234568  # command line\n"));
  EXPECT_THAT(text, HasSubstr("rates = 0.1,1e-300,3  # " + file + "\n"));
  EXPECT_EQ(parse({"--config", write("dump.ini", text)}), s);
}

TEST_F(OptionsTest, AwkwardTextRoundTrips) {
  for (const std::string text : {"", " ", "a b", " lead", "trail ", "#", "a#b", "a #b", "a\t#b", "\"", "\"quoted\"",
           "\\", "\\n", "a\\", "a\nb", "a\r", "\t", ";x", "[x]", "= =", "ü ß", "\x7f", "--x", "a = b # c \"d\" \\ e"}) {
    Settings s;
    s.name = text;
    const auto options = declare(&s);
    EXPECT_EQ(parse({"--config", write("t.ini", options->dump())}).name, text) << options->dump();
  }
}

TEST_F(OptionsTest, DoublesAndIntegersRoundTripBitForBit) {
  std::mt19937_64 bits(1);
  std::vector<double> values{
      0.0, -0.0, 0.1, 1e23, 5e-324, std::numeric_limits<double>::max(), -std::numeric_limits<double>::min()};
  while (values.size() < 1000) {
    const double value = std::bit_cast<double>(bits());
    if (std::isfinite(value)) values.push_back(value);
  }
  Settings s;
  s.rates = values;
  s.seed = std::numeric_limits<std::int64_t>::min();
  const Settings back = parse({"--config", write("d.ini", declare(&s)->dump())});
  ASSERT_EQ(back.rates.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.rates[i]), std::bit_cast<std::uint64_t>(values[i]));
  }
  EXPECT_EQ(back.seed, s.seed);
}

TEST_F(OptionsTest, ValuesAreSortedAndComplete) {
  Settings s;
  const auto options = declare(&s);
  options->parse(std::vector<std::string>{"--langevin.steps=5"});
  const auto values = options->values();
  ASSERT_EQ(values.size(), 10u);
  EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
  EXPECT_EQ(values[1], (std::pair<std::string, std::string>{"langevin.steps", "5"}));
}

TEST_F(OptionsTest, HelpHasDefaultsRangesSectionsAndFits) {
  Settings s;
  const auto options = declare(&s);
  const std::string common = options->help(false), all = options->help(true);
  EXPECT_THAT(
      common, AllOf(HasSubstr("usage: hebm_dist train"), HasSubstr("[langevin]"), HasSubstr("--langevin.steps"),
                  HasSubstr("default 50"), HasSubstr("[1, 1000]"), HasSubstr("--config"), HasSubstr("--dry-run")));
  EXPECT_THAT(common, Not(HasSubstr("train.seed")));
  EXPECT_THAT(all, AllOf(HasSubstr("--train.seed"), HasSubstr("one of diffusion, joint, nce")));
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100u) << line;
    EXPECT_FALSE(line.ends_with(' ')) << line;
  }
  testing::internal::CaptureStdout();
  EXPECT_EQ(options->parse(std::vector<std::string>{"--nonsense", "--help"}), Options::Action::kHelpShown);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), common);
  testing::internal::CaptureStdout();
  EXPECT_EQ(options->parse(std::vector<std::string>{"--help-all"}), Options::Action::kHelpShown);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), all);
}

TEST_F(OptionsTest, PrintValueSaysOneValueAsItIs) {
  Settings s;
  const auto options = declare(&s);
  const std::string file = write("odd.ini", "[prior]\nname = \"a  # \\\"b\\\" \"\n");
  testing::internal::CaptureStdout();
  EXPECT_EQ(options->parse(std::vector<std::string>{"--config", file, "--print-value", "prior.name"}),
      Options::Action::kHelpShown);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a  # \"b\" \n");
  EXPECT_THAT(error_of({"--print-value", "prior.nam"}), HasSubstr("did you mean prior.name"));
  EXPECT_THAT(error_of({"--print-value", "prior.name", "--langevin.steps", "0"}), HasSubstr("langevin.steps"));
}

TEST_F(OptionsTest, DryRunAndChecks) {
  Settings s;
  const auto options = declare(&s);
  options->add_check([&s] { check(s.steps < 100 || s.eta < 0.5, ExitCode::kUsage, "too long a chain"); });
  EXPECT_EQ(options->parse(std::vector<std::string>{"--dry-run"}), Options::Action::kDryRun);
  EXPECT_THROW(options->parse(std::vector<std::string>{"--langevin.steps=200", "--langevin.eta=0.7"}), Error);
}

TEST_F(OptionsTest, Positionals) {
  const auto parse_status = [](const std::vector<std::string>& args, Settings* s) {
    Options options("hebm_dist status RUN [FILE ...]", "Tells about a run.");
    options.add("status.depth", &s->steps, "depth");
    options.add_positional("RUN", &s->run, "the run's folder", true);
    options.add_positional_list("FILE", &s->files, "files");
    options.parse(args);
  };
  Settings s;
  parse_status({"runs/a", "--status.depth", "3", "x", "--", "--y", "-z"}, &s);
  EXPECT_EQ(s.run, "runs/a");
  EXPECT_EQ(s.steps, 3);
  EXPECT_EQ(s.files, (std::vector<std::string>{"x", "--y", "-z"}));
  EXPECT_THROW(parse_status({"--status.depth", "3"}, &s), Error);
  EXPECT_THAT(error_of({"stray"}), HasSubstr("unexpected argument 'stray'"));
  EXPECT_THAT(error_of({"-x"}), HasSubstr("unexpected argument '-x'"));
}

TEST_F(OptionsTest, AKeyWithoutSectionIsOfTheCommandLineAlone) {
  const std::string file = write("j.ini", "[x]\njson = true\n");
  Settings s;
  Options options("hebm_data inspect", "Tells about a data set.");
  options.add("json", &s.online, "print JSON", Show::kCommon);
  options.add("x.steps", &s.steps, "steps");
  options.parse(std::vector<std::string>{"--json", "--x.steps=2"});
  EXPECT_TRUE(s.online);
  EXPECT_EQ(options.dump(), "[x]\nsteps = 2  # command line\n");
  EXPECT_EQ(options.values().size(), 1u);
  EXPECT_THAT(options.help(false), HasSubstr("--json BOOL"));
  EXPECT_THROW(options.parse(std::vector<std::string>{"--config", file}), Error);
}

TEST_F(OptionsTest, HelpKeepsCommandsToCopyAsTheyAre) {
  const std::string long_line(120, 'x'),
      sentence =
          "A sentence of words that is longer than a line of the help text, so that it has to be broken somewhere.";
  Options options("u", sentence + "\n\n  run " + long_line + "\n" + sentence);
  const std::string help = options.help(false);
  EXPECT_THAT(help, HasSubstr("\n\n  run " + long_line + "\nA sentence"));
  EXPECT_THAT(help, Not(HasSubstr(sentence)));
}

TEST_F(OptionsTest, WrongDeclarationsAreCaught) {
  std::int64_t n = 5;
  std::string kind = "c";
  double nan = std::nan("");
  Options options("u", "a");
  options.add("a.b", &n, "h");
  EXPECT_THROW(options.add("a.b", &n, "h"), Error);
  for (const char* key : {"", ".b", "a.", "config", "dry-run", "help", "help-all"}) {
    EXPECT_THROW(options.add(key, &n, "h"), Error) << key;
  }
  EXPECT_THROW(options.add("a.c", &n, "h", {6, 7}), Error);
  EXPECT_THROW(options.add("a.d", &nan, "h"), Error);
  EXPECT_THROW(options.add_choice("a.e", &kind, {"a", "b"}, "h"), Error);
  auto unnamed = static_cast<Rule>(7);
  EXPECT_THROW(options.add_choice("a.f", &unnamed, "h"), Error);
}

TEST_F(OptionsTest, FingerprintLeavesOutWhatIsDeclaredOutsideOfIt) {
  std::int64_t a = 1, b = 2, c = 3, d = 4, e = 5;
  Options options("p", "a");
  options.add("x.in", &a, "h");
  options.add("x.keep", &b, "h").outside_fingerprint();
  options.outside_fingerprint([&] {
    options.add("y.path", &c, "h");
    options.add("y.seed", &d, "h");
  });
  options.add("z.in", &e, "h");
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(options.fingerprint(), (std::vector<Pair>{{"x.in", "1"}, {"z.in", "5"}}));
  EXPECT_EQ(options.values().size(), 5U);
}

TEST(Choice, NamesAndValuesAreOneList) {
  static_assert(name_of(Rule::kExact) == "exact");
  static_assert(value_named<Rule>("paper") == Rule::kPaper);
  EXPECT_EQ(value_named<Rule>("Paper"), std::nullopt);
  EXPECT_EQ(name_of(static_cast<Rule>(7)), "");
}

TEST_F(OptionsTest, ChoiceOfAnEnumReadsAndWritesItsNames) {
  Rule rule = Rule::kExact;
  std::string text = "exact";
  Options of_enum("p", "a"), of_text("p", "a");
  of_enum.add_choice("chain.rule", &rule, "the rule", Show::kCommon);
  of_text.add_choice("chain.rule", &text, {"paper", "exact"}, "the rule", Show::kCommon);
  EXPECT_EQ(of_enum.help(false), of_text.help(false));
  EXPECT_EQ(of_enum.dump(), "[chain]\nrule = exact  # default\n");
  const std::vector<std::string> wrong = {"--chain.rule", "euler"}, right = {"--chain.rule", "paper"};
  std::string messages[2];
  int i = 0;
  for (Options* options : {&of_enum, &of_text}) {
    try {
      options->parse(wrong);
    } catch (const Error& e) {
      messages[i++] = e.what();
    }
  }
  EXPECT_NE(messages[0].find("one of paper, exact"), std::string::npos) << messages[0];
  EXPECT_EQ(messages[0], messages[1]);
  EXPECT_EQ(rule, Rule::kExact);
  of_enum.parse(right);
  EXPECT_EQ(rule, Rule::kPaper);
  EXPECT_EQ(of_enum.values()[0].second, "paper");
}

}  // namespace
}  // namespace hebm
