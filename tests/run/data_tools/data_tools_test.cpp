// hebm_data as its users run it: the built program, its exit codes, what it prints and what it
// leaves on disk.
#include <cmath>
#include <nlohmann/json.hpp>
#include "data/dataset.h"
#include "program.h"

namespace hebm::data_tools::test {
namespace {

TEST_F(DataTools, ImportsGzipAndPlainAlikeAndPadsAroundTheCentre) {
  const std::string images = idx_images(5, 28, 27), labels = idx_labels(5);
  const std::string test_images = idx_images(3, 28, 27), test_labels = idx_labels(3);
  const Outcome first = import(put("i", images), put_gz("l.gz", labels),
      {"--test-images", put_gz("ti.gz", test_images), "--test-labels", put("tl", test_labels), "--label-names",
          "red,green,blue", "--source", "made by a test"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.err, "");
  EXPECT_NE(first.out.find("wrote 8 images of 1 x 32 x 32 (5 train, 3 test)"), std::string::npos) << first.out;
  const data::Dataset set = data::Dataset::open(out());
  set.verify();
  EXPECT_EQ(set.size(), 8);
  EXPECT_EQ(set.label_names(), (std::vector<std::string>{"red", "green", "blue"}));
  EXPECT_EQ(set.labels(), (std::vector<std::int64_t>{0, 1, 2, 0, 1, 0, 1, 2}));
  EXPECT_EQ(set.source(), "made by a test");
  EXPECT_EQ(set.members(data::Split::kTest), (std::vector<std::int64_t>{5, 6, 7}));
  for (std::int64_t i = 0; i < 8; ++i) {
    const std::string& from = i < 5 ? images : test_images;
    const ImageBatch one = set.read({&i, 1});
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x) {
        const bool inside = y >= 2 && y < 30 && x >= 2 && x < 29;  // 27 wide: 2 on the left, 3 on the right
        const auto at = static_cast<std::size_t>(16 + ((i < 5 ? i : i - 5) * 28 + (y - 2)) * 27 + (x - 2));
        ASSERT_EQ(one.pixels[static_cast<std::size_t>(y * 32 + x)], inside ? static_cast<std::uint8_t>(from[at]) : 0)
            << i << ' ' << y << ' ' << x;
      }
  }
}

TEST_F(DataTools, AgainIsNoWorkAndAnotherContentIsRefused) {
  const std::string images = put_gz("i", idx_images(9, 8, 8)), labels = put("l", idx_labels(9));
  ASSERT_EQ(import(images, labels).code, 0);
  const std::string before = slurp(out());
  const Outcome again = import(images, labels);
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.out.find("already holds"), std::string::npos) << again.out;
  const Outcome other = import(images, labels, {"--limit", "8"});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("number of images (there 9, to be written 8)"), std::string::npos) << other.err;
  EXPECT_EQ(slurp(out()), before);
}

TEST_F(DataTools, LimitsPadAndJson) {
  const std::string images = put("i", idx_images(9, 8, 6)), labels = put("l", idx_labels(9));
  const Outcome outcome = import(images, labels,
      {"--limit", "4", "--pad", "0", "--json", "--test-images", images, "--test-labels", labels, "--limit-test", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["shape"], nlohmann::json({6, 1, 8, 6}));
  EXPECT_EQ(json["train"], 4);
  EXPECT_EQ(json["test"], 2);
  EXPECT_EQ(json["done"], "wrote");
  fs::remove(out());
  const Outcome dry = import(images, labels, {"--dry-run"});
  EXPECT_EQ(dry.code, 0);
  EXPECT_NE(dry.out.find("would write 9 images"), std::string::npos) << dry.out;
  EXPECT_FALSE(fs::exists(out()));
  expect_refused(import(images, labels, {"--pad", "7"}), 2, {images, "8 x 6", "--pad 8"});
}

TEST_F(DataTools, WrongMagicNumbersAreNamed) {
  const std::string images = put("i", idx_images(4, 8, 8)), labels = put("l", idx_labels(4));
  expect_refused(import(labels, labels), 4, {labels, "expected 0x00000803", "got 0x00000801", "these are labels"});
  expect_refused(import(images, images), 4, {images, "expected 0x00000801", "got 0x00000803", "these are images"});
  std::string floats = idx_images(4, 8, 8);
  floats[2] = 0x0d;
  expect_refused(import(put("f", floats), labels), 4, {"got 0x00000d03", "not unsigned bytes"});
  expect_refused(import(put("t", "a text file"), labels), 4, {"got 0x61207465"});
  expect_refused(import(put("e", ""), labels), 4, {"truncated", "4 bytes, got 0"});
  expect_refused(import(put_gz("eg", ""), labels), 4, {"truncated", "4 bytes, got 0"});
}

TEST_F(DataTools, TruncatedFilesAreNamedWhateverTheLength) {
  const std::string content = idx_images(4, 8, 8), labels = put("l", idx_labels(4));
  for (std::size_t length = 0; length < content.size(); length += length < 20 ? 1 : 37)
    expect_refused(import(put("i", content.substr(0, length)), labels), 4, {"/i: truncated: expected", "got"});
  put_gz("g", content);
  const std::string packed = slurp(folder_ / "g");
  for (std::size_t length = 2; length < packed.size(); length += length + 20 < packed.size() ? 13 : 1)
    expect_refused(import(put("c", packed.substr(0, length)), labels), 4, {"/c: ", "expected", "got"});
  std::string flipped = packed;
  flipped[packed.size() / 2] = static_cast<char>(flipped[packed.size() / 2] ^ 4);
  expect_refused(import(put("d", flipped), labels), 4, {"/d: "});
  flipped = packed;
  flipped[packed.size() - 6] = static_cast<char>(flipped[packed.size() - 6] ^ 4);  // the check sum
  expect_refused(import(put("s", flipped), labels), 4, {"/s: damaged gzip data"});
}

TEST_F(DataTools, CountsAndTrailingBytes) {
  const std::string content = idx_images(4, 8, 8), images = put("i", content);
  const std::string labels = put("l", idx_labels(4)), five = put("five", idx_labels(5));
  expect_refused(import(images, five), 4, {images, "4 images", five, "5"});
  expect_refused(import(put("x", content + "?"), labels), 4, {"/x: trailing bytes: expected 272 bytes", "got 273"});
  expect_refused(import(put_gz("xg", content + "?"), labels), 4, {"/xg: trailing bytes"});
  expect_refused(import(images, put("xl", idx_labels(4) + "??")), 4, {"/xl: trailing bytes"});
  expect_refused(import(images, labels,
                     {"--test-images", put("other", idx_images(4, 9, 8)), "--test-labels", labels, "--pad", "0"}),
      4, {"/other", "8 x 8", "9 x 8"});
}

TEST_F(DataTools, AbsurdSizesAreRefusedBeforeMemoryIsAskedFor) {
  const std::string labels = put("l", idx_labels(4));
  const auto header = [](std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
    return word(0x803) + word(count) + word(rows) + word(columns);
  };
  for (const bool gzip : {false, true}) {
    const auto refused = [&](const std::string& content, const std::vector<std::string>& parts) {
      expect_refused(import(gzip ? put_gz("a", content) : put("a", content), labels), 4, parts);
    };
    refused(header(0xffffffffu, 0xffffffffu, 0xffffffffu), {"/a: absurd size", "16384", "4294967295"});
    refused(header(4, 16385, 1), {"absurd size", "16384 pixels a side", "16385"});
    refused(header(4, 0, 8), {"absurd size", "4 x 0 x 8"});
    refused(header(0, 8, 8), {"at least 1 entry, got 0"});
    refused(header(0x80000001u, 1, 1), {"absurd size", "2147483648 elements", "2147483649"});
    // Within the limits, but no file of this size can hold it.
    refused(header(0x80000000u, 1, 1), {"truncated", "2147483664 bytes"});
  }
  // Small images padded beyond the limit.
  expect_refused(import(put_gz("b", idx_images(1000, 1, 1)), put("lb", idx_labels(1000)), {"--pad", "16384"}), 4,
      {"absurd size", "padded pixels"});
}

TEST_F(DataTools, WrongUseIsExitCodeTwo) {
  const std::string images = put("i", idx_images(4, 8, 8)), labels = put("l", idx_labels(4));
  expect_refused(run({}), 2, {"import-idx, import-mnist5k, derive, derive-attributes, inspect or verify"});
  expect_refused(run({"improt-idx"}), 2, {"improt-idx"});
  expect_refused(run({"import-idx", "--imags", images}), 2, {"--imags", "--images"});
  expect_refused(run({"import-idx", "--out", out()}), 2, {"--images", "neither"});
  expect_refused(run({"import-idx", "--images", images, "--labels", labels}), 2, {"--out"});
  expect_refused(run({"import-idx", "--images", images, "--out", out()}), 2, {"--labels"});
  expect_refused(import(images, labels, {"--test-images", images}), 2, {"--test-labels"});
  expect_refused(import(images, labels, {"--limit-test", "1"}), 2, {"--test-images"});
  expect_refused(import(images, labels, {"--limit", "-1"}), 2, {"limit"});
  expect_refused(import(images, labels, {"--pad", "99999"}), 2, {"pad"});
  expect_refused(import(images, labels, {"--label-names", "a,b"}), 2, {"at least 3 names"});
  expect_refused(import(images, labels, {"--label-names", "a,,b"}), 2, {"--label-names"});
  expect_refused(import(images, labels, {"--label-names", "a,b,\xff"}), 2, {"UTF-8"});
  expect_refused(import(folder_ / "none", labels), 2, {"none", "no such file"});
  expect_refused(import(images, labels, {"--fashion-mnist", folder_}), 2, {"both"});
  expect_refused(run({"import-idx", "--fashion-mnist", folder_, "--out", out()}), 2,
      {"train-images-idx3-ubyte", "apt-get install dataset-fashion-mnist"});
  expect_refused(run({"inspect"}), 2, {"FILE.h5"});
  expect_refused(import(folder_, labels), 2, {"expected a file, got a folder"});
}

TEST_F(DataTools, HelpIsOnStdout) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{"--help"}, {"import-idx", "--help"},
           {"import-mnist5k", "--help"}, {"derive", "--help"}, {"inspect", "--help"}, {"verify", "--help"}}) {
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out.find("hebm_data"), std::string::npos);
  }
  EXPECT_NE(run({"import-idx", "--help"}).out.find("--fashion-mnist"), std::string::npos);
}

TEST_F(DataTools, InspectTellsWhatIsThere) {
  const std::string images = put("i", idx_images(7, 16, 16)), labels = put("l", idx_labels(7));
  ASSERT_EQ(import(images, labels, {"--label-names", "red,green,blue", "--pad", "16"}).code, 0);
  const std::string png = folder_ / "sheet.png";
  const Outcome text = run({"inspect", out(), "--png", png});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* part : {"hebm-dataset version 1", "7 of 1 x 16 x 16", "red", "green", "blue", "images_hash"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " is not in: " << text.out;
  EXPECT_EQ(slurp(png).substr(0, 4), "\x89PNG");
  const Outcome outcome = run({"inspect", out(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["labels"][0]["train"], 3);
  EXPECT_EQ(json["labels"][2]["name"], "blue");
  double sum = 0, squares = 0;
  const std::string content = slurp(images);
  for (std::size_t i = 16; i < content.size(); ++i) {
    const double value = static_cast<std::uint8_t>(content[i]) / 255.0;
    sum += value;
    squares += value * value;
  }
  const double n = static_cast<double>(content.size() - 16);
  EXPECT_NEAR(json["pixel_mean"].get<double>(), sum / n, 1e-12);
  EXPECT_NEAR(json["pixel_std"].get<double>(), std::sqrt(squares / n - sum / n * sum / n), 1e-12);
}

TEST_F(DataTools, VerifyFindsAFlippedBit) {
  const std::string images = put("i", idx_images(7, 32, 32)), labels = put("l", idx_labels(7));
  ASSERT_EQ(import(images, labels).code, 0);
  EXPECT_EQ(run({"verify", out()}).code, 0);
  std::string content = slurp(out());
  const std::size_t at = content.find(slurp(images).substr(16, 100));
  ASSERT_NE(at, std::string::npos);
  content[at + 50] = static_cast<char>(content[at + 50] ^ 1);
  put("bad.h5", content);
  const Outcome outcome = run({"verify", folder_ / "bad.h5"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_NE(outcome.err.find("bad.h5: images_hash: expected"), std::string::npos) << outcome.err;
  put("text.h5", "not HDF5 at all");
  EXPECT_EQ(run({"verify", folder_ / "text.h5"}).code, 4);
  EXPECT_EQ(run({"inspect", folder_ / "text.h5"}).code, 4);
}

TEST_F(DataTools, FashionMnistByItsFolder) {
  for (const char* name : {"train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"})
    put_gz(name, idx_images(20, 28, 28));
  put_gz("train-labels-idx1-ubyte.gz", idx_labels(20));
  put("t10k-labels-idx1-ubyte", idx_labels(20));  // plain is found too
  const Outcome outcome = run({"import-idx", "--fashion-mnist", folder_, "--out", out()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const data::Dataset set = data::Dataset::open(out());
  EXPECT_EQ(set.size(), 40);
  ASSERT_EQ(set.label_names().size(), 10u);
  EXPECT_EQ(set.label_names()[9], "Ankle boot");
  EXPECT_NE(set.source().find("Fashion-MNIST"), std::string::npos);
}

// Pixel p of image i of the text file; images differ, and rows and columns of one do.
int mnist_pixel(std::size_t i, std::size_t p) { return static_cast<int>((i * 7 + p * 13 + p / 28) % 256); }

std::string mnist_text(std::size_t lines = 5000) {
  std::string text;
  for (std::size_t i = 0; i < lines; ++i) {
    for (std::size_t p = 0; p < 784; ++p) text += std::to_string(mnist_pixel(i, p)) + ",";
    text += std::to_string(i / 500) + "\n";
  }
  return text;
}

TEST_F(DataTools, Mnist5kBecomesTestImages) {
  const std::string text = mnist_text();
  const Outcome outcome = run({"import-mnist5k", "--csv", put_gz("m.csv.gz", text), "--out", out()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("wrote 5000 images of 1 x 32 x 32 (0 train, 5000 test)"), std::string::npos)
      << outcome.out;
  const data::Dataset set = data::Dataset::open(out());
  set.verify();
  EXPECT_EQ(set.members(data::Split::kTest).size(), 5000u);
  EXPECT_EQ(set.labels()[499], 0);
  EXPECT_EQ(set.labels()[4999], 9);
  const std::int64_t number = 4321;
  const ImageBatch one = set.read({&number, 1});
  for (std::size_t y = 0; y < 32; ++y) {
    for (std::size_t x = 0; x < 32; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
      ASSERT_EQ(one.pixels[y * 32 + x], inside ? mnist_pixel(4321, (y - 2) * 28 + (x - 2)) : 0) << y << ' ' << x;
    }
  }
  // Plain text is the same, and again is no work.
  const Outcome again = run({"import-mnist5k", "--csv", put("m.csv", text), "--out", out()});
  EXPECT_NE(again.out.find("already holds"), std::string::npos) << again.err;
  const Outcome dry =
      run({"import-mnist5k", "--csv", folder_ / "m.csv", "--out", folder_ / "other.h5", "--pad", "0", "--dry-run"});
  EXPECT_NE(dry.out.find("would write 5000 images of 1 x 28 x 28"), std::string::npos) << dry.err;
}

TEST_F(DataTools, Mnist5kOfAnotherFormIsNamed) {
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    expect_refused(run({"import-mnist5k", "--csv", put("m", text), "--out", out()}), 4, parts);
  };
  const std::string text = mnist_text(), line = text.substr(0, text.find('\n') + 1);
  refused(mnist_text(4999), {"/m: truncated: expected 5000 lines, got 4999"});
  refused(text + line, {"expected 5000 lines, got more"});
  refused("256" + text.substr(1), {"line 1, column 1", "0 to 255", "\"256,"});
  refused("-1" + text.substr(1), {"line 1, column 1", "\"-1,"});
  refused("1.5" + text.substr(1), {"line 1, column 1", "\"1.5,"});
  refused("\x1b[31m", {"line 1, column 1", "\\x1b[31m"});
  refused(line + line.substr(2), {"line 2, column 784", "then a comma"});  // a pixel short
  refused(line + "0," + line, {"line 2, column 785", "0 to 9"});           // a pixel more
  refused("", {"expected 5000 lines, got 0"});
  put_gz("g", text);
  const std::string packed = slurp(folder_ / "g");
  refused(packed.substr(0, packed.size() / 2), {"damaged gzip data"});
  expect_refused(run({"import-mnist5k", "--csv", put_gz("b", std::string(33 << 20, '0')), "--out", out()}), 4,
      {"33554432 bytes of text, got more"});
  expect_refused(run({"import-mnist5k", "--out", out()}), 2, {"--csv"});
  expect_refused(run({"import-mnist5k", "--csv", folder_ / "m"}), 2, {"--out"});
  expect_refused(run({"import-mnist5k", "--csv", folder_ / "none", "--out", out()}), 2, {"no such file"});
  expect_refused(run({"import-mnist5k", "--csv", folder_, "--out", out()}), 2, {"got a folder"});
  expect_refused(
      run({"import-mnist5k", "--csv", folder_ / "m", "--out", out(), "--pad", "27"}), 2, {"28 x 28", "--pad 28"});
}

class Derive : public DataTools {
 protected:
  Derive() {
    const std::string images = put("i", idx_images(3, 8, 8)), labels = put("l", idx_labels(3));
    from_ = folder_ / "from.h5";
    const Outcome made =
        run({"import-idx", "--images", images, "--labels", labels, "--test-images", put("t", idx_images(5, 8, 8)),
            "--test-labels", put("tl", idx_labels(5)), "--pad", "0", "--out", from_, "--label-names", "a,b,c"});
    EXPECT_EQ(made.code, 0) << made.err;
  }
  Outcome derive(const std::string& kind, std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"derive", "--from", from_, "--kind", kind, "--out", out()};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // The test images of the first set, and all of the second.
  ImageBatch before() const {
    const data::Dataset set = data::Dataset::open(from_);
    return set.read(set.members(data::Split::kTest));
  }
  ImageBatch after() const {
    const data::Dataset set = data::Dataset::open(out());
    set.verify();
    EXPECT_TRUE(set.members(data::Split::kTrain).empty());
    return set.read(set.members(data::Split::kTest));
  }
  std::string from_;
};

TEST_F(Derive, TurnsEveryTestImageByAQuarter) {
  const Outcome outcome = derive("rotate90");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("wrote 5 images of 1 x 8 x 8 (0 train, 5 test)"), std::string::npos) << outcome.out;
  const ImageBatch a = before(), b = after();
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t y = 0; y < 8; ++y) {
      // To the left: the right column becomes the top row.
      for (std::size_t x = 0; x < 8; ++x)
        ASSERT_EQ(b.pixels[i * 64 + y * 8 + x], a.pixels[i * 64 + x * 8 + (7 - y)]) << i << y << x;
    }
  }
  const data::Dataset set = data::Dataset::open(out());
  EXPECT_EQ(set.labels(), (std::vector<std::int64_t>{0, 1, 2, 0, 1}));
  EXPECT_EQ(set.label_names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_NE(set.source().find("turned by 90 degrees"), std::string::npos) << set.source();
  EXPECT_NE(set.source().find(data::Dataset::open(from_).images_hash()), std::string::npos) << set.source();
  EXPECT_NE(derive("rotate90").out.find("already holds"), std::string::npos);
  EXPECT_EQ(derive("invert").code, 2);
}

TEST_F(Derive, InvertsEveryPixel) {
  ASSERT_EQ(derive("invert").code, 0);
  const ImageBatch a = before(), b = after();
  for (std::size_t p = 0; p < a.pixels.size(); ++p) ASSERT_EQ(a.pixels[p] + b.pixels[p], 255) << p;
}

// 5 x 64 pixels: the mean of n uniform bytes is 127.5 with a deviation of 73.9 / sqrt(n), 4.1; five
// of them are 21.
TEST_F(Derive, NoiseIsUniformAndFollowsItsSeed) {
  ASSERT_EQ(derive("noise", {"--seed", "4"}).code, 0);
  const ImageBatch noise = after();
  double sum = 0;
  for (const auto pixel : noise.pixels) sum += pixel;
  EXPECT_NEAR(sum / 320, 127.5, 21);
  EXPECT_GT(*std::max_element(noise.pixels.begin(), noise.pixels.end()), 240);
  EXPECT_LT(*std::min_element(noise.pixels.begin(), noise.pixels.end()), 15);
  EXPECT_FALSE(std::equal(noise.pixels.begin(), noise.pixels.begin() + 64, noise.pixels.begin() + 64))
      << "images differ";
  EXPECT_TRUE(data::Dataset::open(out()).labels().empty());
  EXPECT_NE(derive("noise", {"--seed", "4"}).out.find("already holds"), std::string::npos);
  EXPECT_EQ(derive("noise", {"--seed", "5"}).code, 2);
}

TEST_F(Derive, BadInputIsNamed) {
  expect_refused(derive("mirror"), 2, {"kind", "mirror", "rotate90"});
  expect_refused(run({"derive", "--out", out()}), 2, {"--from"});
  expect_refused(run({"derive", "--from", from_}), 2, {"--out"});
  put("text.h5", "not HDF5 at all");
  expect_refused(run({"derive", "--from", folder_ / "text.h5", "--kind", "invert", "--out", out()}), 4, {"text.h5"});
  const std::string train = folder_ / "train.h5", flat = folder_ / "flat.h5";
  ASSERT_EQ(run({"import-idx", "--images", folder_ / "i", "--labels", folder_ / "l", "--out", train}).code, 0);
  expect_refused(run({"derive", "--from", train, "--out", out()}), 2, {"train.h5", "test images"});
  const std::string wide = put("w", idx_images(3, 8, 6));
  ASSERT_EQ(run({"import-idx", "--images", wide, "--labels", folder_ / "l", "--test-images", wide, "--test-labels",
                    folder_ / "l", "--pad", "0", "--out", flat})
                .code,
      0);
  expect_refused(run({"derive", "--from", flat, "--out", out()}), 2, {"flat.h5", "8 x 6", "90 degrees"});
}

}  // namespace
}  // namespace hebm::data_tools::test
