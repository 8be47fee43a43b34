// What the tests of nets/, vae/, train/ and encode/ share: whole files as text, errors by code and
// words, tensors by values.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "../temp_folder.h"
#include "base/error.h"
#include "base/random.h"
#include "storage/files.h"

namespace hebm::test {

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void spill(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  ASSERT_TRUE(out.flush().good()) << path;
}

// Runs `action`, which must throw an Error of this code whose message has every one of `parts`.
inline void expect_error(ExitCode code, const std::vector<std::string>& parts, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << '"' << part << "\" is not in: " << error.what();
  }
}

inline std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

// [n] float64.
inline at::Tensor numbers(const std::vector<double>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<double>());
  return out;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return a.numel() == 0 ? 0.0 : (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

// U(-1, 1), another stream for every item.
inline at::Tensor random_tensor(std::vector<std::int64_t> shape, std::uint32_t item,
                                at::ScalarType dtype = at::kDouble) {
  at::Tensor out = at::empty(shape, at::kFloat);
  fill_uniform({out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())}, {7, 0, Purpose::kTest},
               {.item = item});
  return out.mul_(2.0).sub_(1.0).to(dtype);
}

}  // namespace hebm::test
