// NVAE against the authors' code: every recorded case (checkpoint.pt, case.h5) is imported and its
// posterior, transport and decoder are compared. float32 bars: z and u 1e-5, logits 2e-5, of the
// tensor's largest value.
#include "vae/nvae.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include "../unit/nets/support.h"
#include "storage/hdf5.h"
#include "storage/safetensors.h"
#include "vae/weights_file.h"

namespace hebm::vae {
namespace {

namespace fs = std::filesystem;

// Case folders by name; of two folders with one name the first counts.
std::map<std::string, fs::path> cases() {
  std::map<std::string, fs::path> out;
  std::istringstream folders(HEBM_PARITY_CASES);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      if (fs::exists(entry.path() / "case.h5")) out.emplace(entry.path().filename().string(), entry.path());
    }
  }
  return out;
}

std::vector<std::string> case_names() {
  std::vector<std::string> out;
  for (const auto& [name, folder] : cases()) out.push_back(name);
  return out;
}

at::Tensor tensor_of(const storage::H5File& file, const std::string& name, at::ScalarType dtype) {
  auto values = file.read_all<float>(name, storage::H5Type::kF32);
  const auto info = file.info(name);
  const std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
  return at::from_blob(values.data(), shape, at::TensorOptions(at::kFloat)).to(dtype).clone();
}

std::vector<at::Tensor> layers_of(
    const storage::H5File& file, const std::string& name, std::size_t count, at::ScalarType dtype) {
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(tensor_of(file, name + "/" + std::to_string(i), dtype));
  return out;
}

double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  return test::largest_difference(got, expected) / expected.abs().max().item<double>();
}

class Parity : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!fs::exists(HEBM_PYTHON3)) GTEST_SKIP() << "python3, which runs the importer, is not installed";
    const std::string command = std::string("'") + HEBM_PYTHON3 + "' '" + HEBM_IMPORTER + "' nvae '" +
                                (folder() / "checkpoint.pt").string() + "' -o '" + weights().string() + "' >&2";
    const int status = std::system(command.c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command;
  }
  fs::path folder() const { return cases().at(GetParam()); }
  fs::path weights() const { return temporary_ / "vae.safetensors"; }
  // Largest errors: z and u of the posterior, z of the transport, logits.
  std::vector<double> errors(at::ScalarType dtype) const {
    const c10::NoGradGuard no_grad;
    const auto net = load_backbone(weights(), dtype);
    const auto file = storage::H5File::open(folder() / "case.h5");
    const std::size_t count = net->groups().size();
    const auto read = [&](const std::string& name) { return layers_of(file, name, count, dtype); };
    const Posterior q = net->posterior(tensor_of(file, "x", dtype), join_layers(read("posterior_noise")));
    const at::Tensor u = join_layers(read("u"));
    const auto z = net->transport(u), posterior_z = read("posterior_z"), z_of_u = read("z_of_u"), u0 = read("u0");
    const auto posterior_u = split_layers(q.u, net->groups());
    std::vector<double> out(4, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
      out[0] = std::max(out[0], relative_error(q.z[i], posterior_z[i]));
      out[1] = std::max(out[1], relative_error(posterior_u[i], u0[i]));
      out[2] = std::max(out[2], relative_error(z[i], z_of_u[i]));
    }
    out[3] = relative_error(net->decode(u), tensor_of(file, "logits_of_u", dtype));
    std::printf("%s %s: posterior_z %.2e, u0 %.2e, z_of_u %.2e, logits_of_u %.2e\n", GetParam().c_str(),
        dtype == at::kFloat ? "float32" : "float64", out[0], out[1], out[2], out[3]);
    return out;
  }
 private:
  test::TempFolder temporary_;
};

TEST_P(Parity, PosteriorTransportAndDecoderAsTheAuthorsCodeHasThem) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto error = errors(dtype);
    EXPECT_LE(error[0], 1e-5);
    EXPECT_LE(error[1], 1e-5);
    EXPECT_LE(error[2], 1e-5);
    EXPECT_LE(error[3], 2e-5);
  }
}

TEST_P(Parity, TheFilesNamesAreOurs) {
  const auto net = load_backbone(weights());
  EXPECT_NE(dynamic_cast<const Nvae*>(net.get()), nullptr);
  const storage::SafetensorsFile file(weights());
  EXPECT_EQ(file.entries().size(), net->params().parameters().size() + net->params().states().size());
  EXPECT_EQ(file.metadata().at("architecture"), net->architecture());
}

TEST(ParityCases, TheTreeHasOne) { EXPECT_TRUE(cases().contains("mini")) << HEBM_PARITY_CASES; }

INSTANTIATE_TEST_SUITE_P(
    Recorded, Parity, ::testing::ValuesIn(case_names()), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace hebm::vae
