// hebm_data import-idx: IDX images and labels -> data set, zero-padded around the centre to a
// square.
#include <fmt/format.h>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/error.h"
#include "base/options.h"
#include "commands.h"
#include "data/dataset.h"
#include "dataset_output.h"
#include "idx_file.h"
#include "storage/memory.h"

namespace hebm::data_tools {
namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string images, labels, test_images, test_labels, fashion_mnist, label_names, source;
  DatasetOutput output;
  std::int64_t pad = 32, limit = 0, limit_test = 0;
};

// The name of Debian's file, or of its unpacked form.
std::string find_idx(const fs::path& folder, const std::string& name) {
  for (const char* ending : {".gz", ""}) {
    const fs::path path = folder / (name + ending);
    std::error_code error;
    if (fs::is_regular_file(path, error)) return path.string();
  }
  fail(ExitCode::kUsage,
      "{}: expected {}.gz or {}, got neither: install Debian's package dataset-fashion-mnist (apt-get install "
      "dataset-fashion-mnist; it uses /usr/share/datasets/fashion-mnist) or give the folder that has the four files",
      folder.string(), name, name);
}

void use_fashion_mnist(Settings& settings) {
  const fs::path folder = settings.fashion_mnist;
  settings.images = find_idx(folder, "train-images-idx3-ubyte");
  settings.labels = find_idx(folder, "train-labels-idx1-ubyte");
  settings.test_images = find_idx(folder, "t10k-images-idx3-ubyte");
  settings.test_labels = find_idx(folder, "t10k-labels-idx1-ubyte");
  if (settings.label_names.empty())
    settings.label_names = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot";
  if (settings.source.empty())
    settings.source = "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT licence), Zalando SE; IDX files";
}

void check_settings(const Settings& settings) {
  const bool named = !settings.images.empty() || !settings.labels.empty() || !settings.test_images.empty() ||
                     !settings.test_labels.empty();
  check(named != !settings.fashion_mnist.empty(), ExitCode::kUsage,
      "expected either --fashion-mnist FOLDER or --images with --labels, got {}", named ? "both" : "neither");
  if (!named) return;
  check(!settings.images.empty() && !settings.labels.empty(), ExitCode::kUsage,
      "expected --images and --labels, got only one of them");
  check(settings.test_images.empty() == settings.test_labels.empty(), ExitCode::kUsage,
      "expected --test-images and --test-labels together, got only one of them");
  check(settings.test_images.empty() ? settings.limit_test == 0 : true, ExitCode::kUsage,
      "expected --test-images with --limit-test, got none");
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  std::size_t from = 0;
  while (!text.empty() && from <= text.size()) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    names.push_back(text.substr(from, to - from));
    check(!names.back().empty() && names.back().size() <= 256, ExitCode::kUsage,
        "--label-names: expected names of 1 to 256 bytes with commas between them, got \"{}\"", text.substr(0, 256));
    from = to + 1;
  }
  check(names.size() <= 256, ExitCode::kUsage, "--label-names: expected at most 256 names, got {}", names.size());
  return names;
}

// Appends one split; `limit` 0 takes all.
void add_split(data::DatasetContent& content, const std::string& image_path, const std::string& label_path,
    std::int64_t pad, std::int64_t limit, data::Split split) {
  IdxFile images(image_path, IdxKind::kImages);
  IdxFile labels(label_path, IdxKind::kLabels);
  check(images.count() == labels.count(), ExitCode::kCorrupt, "{} has {} images: expected as many labels, {} has {}",
      images.name(), images.count(), labels.name(), labels.count());
  const ImageShape shape = padded_shape(images.name(), images.rows(), images.columns(), pad);
  check(content.splits.empty() || content.shape == shape, ExitCode::kCorrupt,
      "{}: expected images of {} x {} as in the training set, got {} x {}", images.name(), content.shape.height,
      content.shape.width, shape.height, shape.width);
  content.shape = shape;
  const std::uint64_t count = limit == 0 ? images.count() : std::min(images.count(), static_cast<std::uint64_t>(limit));
  const auto size = static_cast<std::uint64_t>(shape.size());  // at most 2^28
  check(count * size <= kMaxPixels, ExitCode::kCorrupt,
      "{}: absurd size: expected at most {} padded pixels, got {} images of {}", images.name(), kMaxPixels, count,
      size);
  storage::check_memory(count * (size + sizeof(std::int64_t)), images.name());
  labels.read(count, [&](auto some) { content.labels.insert(content.labels.end(), some.begin(), some.end()); });
  const std::size_t start = content.pixels.size();
  content.pixels.resize(start + count * size, 0);
  const std::uint64_t image = images.rows() * images.columns();
  std::uint8_t* to = content.pixels.data() + start;
  images.read(count, [&](std::span<const std::uint8_t> some) {
    for (; !some.empty(); some = some.subspan(image), to += size)
      place_centred(some.first(image), images.rows(), images.columns(), to, shape);
  });
  content.splits.insert(content.splits.end(), count, static_cast<std::uint8_t>(split));
}

void set_label_names(data::DatasetContent& content, const std::string& text) {
  const std::int64_t largest = *std::max_element(content.labels.begin(), content.labels.end());
  content.label_names = split_names(text);
  if (content.label_names.empty())
    for (std::int64_t label = 0; label <= largest; ++label) content.label_names.push_back(fmt::format("{}", label));
  check(largest < static_cast<std::int64_t>(content.label_names.size()), ExitCode::kUsage,
      "--label-names: expected at least {} names, for labels 0 to {}, got {}", largest + 1, largest,
      content.label_names.size());
}

void declare(Options& options, Settings& settings) {
  options.add("fashion-mnist", &settings.fashion_mnist,
      "folder of Fashion-MNIST's four files (Debian: /usr/share/datasets/fashion-mnist)", Show::kCommon);
  options.add("images", &settings.images, "IDX file of training images", Show::kCommon);
  options.add("labels", &settings.labels, "IDX file of training labels", Show::kCommon);
  options.add("test-images", &settings.test_images, "IDX file of test images", Show::kCommon);
  options.add("test-labels", &settings.test_labels, "IDX file of test labels", Show::kCommon);
  settings.output.describe_out(options);
  options.add("pad", &settings.pad, "zero-pad around the centre to this many pixels a side; 0 keeps the size",
      {0, kMaxSide}, Show::kCommon);
  options.add(
      "label-names", &settings.label_names, "names of labels 0, 1, ..., with commas between them", Show::kCommon);
  options.add("source", &settings.source, "where the images come from, kept in the file", Show::kCommon);
  options.add("limit", &settings.limit, "take only the first so many training images; 0 takes all", {0, 1ll << 31},
      Show::kCommon);
  options.add("limit-test", &settings.limit_test, "take only the first so many test images; 0 takes all",
      {0, 1ll << 31}, Show::kCommon);
}

data::DatasetContent imported(Settings& settings) {
  if (!settings.fashion_mnist.empty()) use_fashion_mnist(settings);
  data::DatasetContent content;
  add_split(content, settings.images, settings.labels, settings.pad, settings.limit, data::Split::kTrain);
  if (!settings.test_images.empty())
    add_split(
        content, settings.test_images, settings.test_labels, settings.pad, settings.limit_test, data::Split::kTest);
  set_label_names(content, settings.label_names);
  content.source = settings.source.empty() ? "IDX files " + settings.images : settings.source;
  return content;
}

}  // namespace

void run_import_idx(std::span<const std::string> args) {
  Settings settings;
  Options options(
      "hebm_data import-idx --images F --labels F [--test-images F --test-labels F] --out FILE.h5\n"
      "       hebm_data import-idx --fashion-mnist FOLDER --out FILE.h5",
      "Imports IDX files (gzip or plain) as a data set. A file that already holds the same is left alone.");
  declare(options, settings);
  options.add_check([&settings] { check_settings(settings); });
  settings.output.run(options, args, [&] { return imported(settings); });
}

}  // namespace hebm::data_tools
