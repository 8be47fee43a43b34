// Writes one file of each format that other programs read to a folder, for readers.py:
// samples.safetensors, samples.h5, run/ (metrics.jsonl and TensorBoard events of a run that was
// resumed once) and grid.png.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <type_traits>
#include <vector>
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/hdf5.h"
#include "storage/metrics.h"
#include "storage/png.h"
#include "storage/safetensors.h"

namespace {

using namespace hebm::storage;

// 0, 1, -2, 3, ... as T; in float16 all are exact.
template <class T> std::vector<T> counting(std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<T>(i % 2 == 0 && std::is_signed_v<T> ? -static_cast<T>(i) : static_cast<T>(i));
  return values;
}

// IEEE half bits of 1, -2, 0.5, 65504 (the largest), 2^-24 (the smallest), -0.
const std::vector<std::uint16_t> kHalves = {0x3c00, 0xc000, 0x3800, 0x7bff, 0x0001, 0x8000};
// bfloat16 bits of 1, -2, 0.5.
const std::vector<std::uint16_t> kBrainFloats = {0x3f80, 0xc000, 0x3f00};

template <class T> std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return as_bytes(values.data(), values.size());
}

void write_tensors(const fs::path& folder) {
  const auto u8 = counting<std::uint8_t>(3);
  const auto i32 = counting<std::int32_t>(6);
  const auto i64 = counting<std::int64_t>(6);
  const auto f32 = counting<float>(6);
  const auto f64 = counting<double>(6);
  const std::vector<std::int64_t> step = {-42};
  const std::vector<StTensor> tensors = {{"u8", StType::kU8, {3}, bytes_of(u8)},
      {"i32", StType::kI32, {2, 3}, bytes_of(i32)}, {"i64", StType::kI64, {6}, bytes_of(i64)},
      {"f16", StType::kF16, {2, 3}, bytes_of(kHalves)}, {"bf16", StType::kBF16, {3}, bytes_of(kBrainFloats)},
      {"net.weight", StType::kF32, {3, 2}, bytes_of(f32)}, {"f64", StType::kF64, {1, 6}, bytes_of(f64)},
      {"empty", StType::kF32, {0, 4}, {}}, {"step", StType::kI64, {}, bytes_of(step)}};
  write_safetensors(folder / "samples.safetensors", tensors, {{"architecture", R"({"width":32})"}, {"note", "größer"}});
}

void write_hdf5(const fs::path& folder) {
  H5File file = H5File::create(folder / "samples.h5");
  file.write("u8", H5Type::kU8, {3}, bytes_of(counting<std::uint8_t>(3)));
  file.write("group/i32", H5Type::kI32, {2, 3}, bytes_of(counting<std::int32_t>(6)));
  file.write("group/i64", H5Type::kI64, {6}, bytes_of(counting<std::int64_t>(6)));
  file.write("u64", H5Type::kU64, {2, 1, 3}, bytes_of(counting<std::uint64_t>(6)));
  file.write("f16", H5Type::kF16, {2, 3}, bytes_of(kHalves));
  file.write("f32", H5Type::kF32, {3, 2}, bytes_of(counting<float>(6)));
  file.write("f64", H5Type::kF64, {}, bytes_of(std::vector<double>{2.5}));
  file.set_attribute("source", "größer");
  file.set_attribute("large", std::string(200000, 'x'));
  file.set_attribute("version", std::int64_t{-7});
  file.close_durable();
}

void write_run(const fs::path& folder) {
  const std::vector<std::uint8_t> pixels(12, 77);
  {
    MetricsWriter writer(folder / "run", -1);
    for (std::int64_t step = 0; step < 6; ++step) {
      writer.write(step, {{"loss/t0", 0.5 * static_cast<double>(step)}, {"nan", std::nan("")}});
    }
    writer.image(2, "grid", 4, 3, 1, encode_png(4, 3, 1, pixels));
  }
  MetricsWriter writer(folder / "run", 3);  // steps 4 and 5 come again
  writer.write(4, {{"loss/t0", -4.0}});
  writer.flush();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_samples NEW_FOLDER\n");
    return 2;
  }
  try {
    const fs::path folder = argv[1];
    create_new_folder(folder);
    write_tensors(folder);
    write_hdf5(folder);
    write_run(folder);
    write_png(folder / "grid.png", 2, 2, 3, counting<std::uint8_t>(12));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
