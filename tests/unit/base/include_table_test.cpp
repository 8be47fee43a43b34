// Reads the sources of the program and holds them to the module table; and shows that the check
// sees what it should.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "include_rules.h"

namespace hebm::testing_rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Case {
  const char *path, *text, *problem;  // problem: part of the one message
};

const Case kBad[] = {
    {"src/base/a.cpp", "#include \"storage/files.h\"", "base/ may not include storage/files.h"},
    {"src/comm/a.cpp", "#include \"storage/files.h\"", "comm/ may not include"},
    {"src/storage/a.h", "#pragma once\n#include \"data/dataset.h\"", "a.h:2: storage/ may not include"},
    {"src/data/a.cpp", "#include \"comm/communicator.h\"", "data/ may not include"},
    {"src/nets/a.cpp", "#include \"vae/hvae.h\"", "nets/ may not include"},
    {"src/vae/a.cpp", "#include \"prior/schedule.h\"", "vae/ may not include"},
    {"src/prior/a.cpp", "#include \"train/x.h\"", "prior/ may not include"},
    {"src/prior/a.cpp", "#include \"comm/communicator.h\"", "prior/ may not include"},
    {"src/train/a.cpp", "#include \"sample/x.h\"", "train/ may not include"},
    {"src/encode/a.cpp", "#include \"train/x.h\"", "encode/ may not include"},
    {"src/sample/a.cpp", "#include \"evaluate/x.h\"", "sample/ may not include"},
    {"src/evaluate/a.cpp", "#include \"sample/x.h\"", "evaluate/ may not include"},
    {"src/report/a.cpp", "#include \"data/x.h\"", "report/ may not include"},
    {"src/sweep/a.cpp", "#include \"report/x.h\"", "sweep/ may not include"},
    {"data_tools/a.cpp", "#include \"vae/x.h\"", "data_tools/ may not include"},
    {"src/train/a.cpp", "#include \"cli/x.h\"", "train/ may not include"},
    {"src/train/a.cu", "#include \"cli/x.h\"", "train/ may not include"},
    {"src/base/a.cpp", "  #  include <storage/files.h>", "base/ may not include"},
    {"src/base/a.cpp", "/* x */ #include \"storage/files.h\"", "base/ may not include"},
    {"src/base/a.cpp", "#include \"error.h\"", "does not start with a module"},
    {"src/base/a.cpp", "#include \"../storage/files.h\"", "leaves its folder"},
    {"src/base/a.cpp", "#include \"base/../storage/files.h\"", "leaves its folder"},
    {"src/base/a.cpp", "#include HEADER", "must name its file"},
    {"src/unknown/a.cpp", "", "not in the table"},
    {"src/a.cpp", "", "not in the table"},
    {"src/train/a.cpp", "#include <mpi.h>", "belongs to comm/ alone"},
    {"src/cli/a.cpp", "#include <nccl.h>", "belongs to comm/ alone"},
    {"src/data/a.cpp", "#include <hdf5.h>", "belongs to storage/ alone"},
    {"data_tools/a.cpp", "#include <H5Fpublic.h>", "belongs to storage/ alone"},
    {"src/storage/a.cpp", "#include <ATen/core/Tensor.h>", "may not include torch"},
    {"src/comm/a.cpp", "#include <c10/cuda/CUDAStream.h>", "may not include torch"},
    {"src/report/a.cpp", "#include <torch/torch.h>", "may not include torch"},
    {"data_tools/a.cpp", "#include <torch/torch.h>", "may not include torch"},
    {"src/vae/a.h", "#pragma once\n#include <torch/torch.h>", "a header may not include"},
    {"src/sample/a.cpp", "#include <torch/torch.h>", "belongs to sources of"},
    {"src/vae/a.cpp", "#include <torch/script.h>", "reads code from files"},
    {"src/vae/a.cpp", "#include <torch/csrc/jit/serialization/import.h>", "reads code from files"},
    {"src/vae/a.cpp", "int a;\nauto m = torch::jit::load(path);", "a.cpp:2: jit::load runs code"},
    {"src/vae/a.cpp", "torch::load(m, path);", "torch::load runs code"},
    {"src/vae/a.cpp", "auto v = torch::Pickle_load(data);", "pickle runs code"},
    {"src/base/a.h", "#pragma once\nusing namespace std;", "using namespace"},
    {"src/base/a.h", "int a;", "#pragma once"},
    {"src/base/a.h", "// #pragma once\nint a;", "#pragma once"},
    {"src/vae/a.cpp", "const char* t = R\"x(\" // )x\"; torch::load(m);", "torch::load runs code"},
    {"src/vae/a.cpp", "int n = 1'000; char c = '\"'; torch::load(m);", "torch::load runs code"},
    {"src/vae/a.cpp", "const char* t = \"\\\\\"; torch::load(m);", "torch::load runs code"},
};

const Case kGood[] = {
    {"src/base/a.cpp", "#include \"base/error.h\"\n#include <vector>", ""},
    {"src/comm/a.cpp", "#include <mpi.h>\n#include <nccl.h>\n#include \"base/error.h\"", ""},
    {"src/storage/a.cpp", "#include <hdf5.h>\n#include \"storage/hdf5.h\"", ""},
    {"src/data/a.cpp", "#include \"storage/hdf5.h\"", ""},
    {"src/prior/a.h", "#pragma once\n#include <ATen/core/Tensor.h>\n#include \"vae/backbone.h\"", ""},
    {"src/prior/a.cpp", "#include <torch/torch.h>", ""},
    {"src/evaluate/a.cpp", "#include <torch/csrc/autograd/autograd.h>\n#include \"prior/schedule.h\"", ""},
    {"src/cli/a.cpp", "#include \"train/x.h\"\n#include \"report/x.h\"\n#include \"comm/communicator.h\"", ""},
    {"data_tools/a.cpp", "#include \"idx.h\"\n#include \"data/dataset.h\"", ""},
    {"src/base/a.cpp", "// #include \"storage/files.h\"\n/*\n#include \"train/x.h\"\npickle */ using namespace std;",
     ""},
    {"src/base/a.cpp", "const char* t = \"never torch::load, no pickle\"; // torch::load", ""},
    {"src/base/a.h", "#pragma once\n// using namespace std;\n", ""},
};

TEST(IncludeTable, TheCheckSeesEveryKindOfViolation) {
  for (const Case& c : kBad)
    EXPECT_THAT(violations(c.path, c.text), ElementsAre(HasSubstr(c.problem))) << c.path << '\n' << c.text;
}

TEST(IncludeTable, TheCheckAcceptsWhatIsAllowed) {
  for (const Case& c : kGood) EXPECT_THAT(violations(c.path, c.text), IsEmpty()) << c.path << '\n' << c.text;
}

TEST(IncludeTable, SourcesObeyIt) {
  namespace fs = std::filesystem;
  const fs::path root = HEBM_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"src", "data_tools"}) {
    if (!fs::exists(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".cuh") continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      ASSERT_FALSE(text.str().empty()) << entry.path();
      const std::vector<std::string> found = violations(fs::relative(entry.path(), root).string(), text.str());
      for (const std::string& problem : found) ADD_FAILURE() << problem;
      ++files;
    }
  }
  EXPECT_GT(files, 15);  // so that a wrong folder does not pass as a clean one
}

}  // namespace
}  // namespace hebm::testing_rules
