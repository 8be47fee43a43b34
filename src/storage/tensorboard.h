// TensorBoard event files: TFRecord framing (length, masked CRC32C, data, masked CRC32C) around
// hand-encoded Event messages of tensorflow/core/util/event.proto. Inside of metrics.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hebm::storage::tensorboard {

std::uint32_t crc32c(std::string_view bytes);  // Castagnoli
std::string frame(std::string_view event);     // one TFRecord

// Events, not framed. time_s is since the epoch.
std::string version_event(double time_s);  // the first of a file
// A job goes on at `step`: TensorBoard drops what older files have at that step or later.
std::string restart_event(double time_s, std::int64_t step);
std::string scalars_event(double time_s, std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
std::string image_event(double time_s, std::int64_t step, const std::string& tag, std::int64_t width,
    std::int64_t height, int channels, std::span<const std::uint8_t> png_bytes);

}  // namespace hebm::storage::tensorboard
