#include "dataset_output.h"
#include <fmt/format.h>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include "base/error.h"

namespace hebm::data_tools {
namespace {

void print_result(
    const DatasetOutput& output, const data::DatasetContent& content, const std::string& hash, const char* done) {
  const auto num_test = std::count(content.splits.begin(), content.splits.end(), 1);
  const auto num_train = static_cast<std::ptrdiff_t>(content.splits.size()) - num_test;
  if (output.json) {
    const nlohmann::ordered_json json = {{"file", output.out}, {"done", done},
        {"shape", {content.splits.size(), content.shape.channels, content.shape.height, content.shape.width}},
        {"train", num_train}, {"test", num_test}, {"images_hash", hash}};
    std::cout << fmt::format("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  std::cout << fmt::format("{}: {} {} images of {} x {} x {} ({} train, {} test), images_hash {}\n", output.out, done,
      content.splits.size(), content.shape.channels, content.shape.height, content.shape.width, num_train, num_test,
      hash);
}

}  // namespace

void DatasetOutput::describe_out(Options& options) {
  options.add("out", &out, "data set to write (HDF5)", Show::kCommon);
  options.add_check([this] { check(!out.empty(), ExitCode::kUsage, "expected --out FILE.h5, got none"); });
}

void DatasetOutput::run(
    Options& options, std::span<const std::string> args, const std::function<data::DatasetContent()>& make) {
  options.add("json", &json, "print the result as JSON", Show::kCommon);
  const Options::Action action = options.parse(args);
  if (action == Options::Action::kHelpShown) return;
  const data::DatasetContent content = make();
  if (action == Options::Action::kDryRun)
    return print_result(*this, content, data::images_hash(content), "would write");
  std::error_code error;
  const bool existed = std::filesystem::exists(out, error);
  const std::string hash = data::write_dataset(out, content);
  print_result(*this, content, hash, existed ? "already holds" : "wrote");
}

ImageShape padded_shape(const std::string& name, std::uint64_t num_rows, std::uint64_t num_columns, std::int64_t pad) {
  const auto rows = static_cast<std::int64_t>(num_rows), columns = static_cast<std::int64_t>(num_columns);
  if (pad == 0) return {1, rows, columns};
  check(rows <= pad && columns <= pad, ExitCode::kUsage,
      "{}: images of {} x {} do not fit --pad {}: use --pad {} (or --pad 0 to keep the size)", name, rows, columns, pad,
      std::max(rows, columns));
  return {1, pad, pad};
}

void place_centred(std::span<const std::uint8_t> image, std::size_t rows, std::size_t columns, std::uint8_t* to,
    const ImageShape& shape) {
  const auto width = static_cast<std::size_t>(shape.width);
  const std::size_t top = (static_cast<std::size_t>(shape.height) - rows) / 2, left = (width - columns) / 2;
  for (std::size_t r = 0; r < rows; ++r)
    std::copy_n(image.data() + r * columns, columns, to + (top + r) * width + left);
}

}  // namespace hebm::data_tools
