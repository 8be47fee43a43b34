// A configuration, with an option of every type; what is resolved is read back as the same.
#include <array>
#include <string>
#include <vector>
#include "base/options.h"
#include "harness.h"

namespace {

struct Declared {
  hebm::Options options{"fuzz", "reads a configuration"};
  std::int64_t integer = 1;
  double real = 0.5;
  bool flag = false;
  std::string text, choice = "one";
  std::vector<double> list = {0.5};

  Declared() {
    options.add("run.integer", &integer, "an integer", {1, 1000});
    options.add("run.real", &real, "a number", {0.0, 1.0});
    options.add("run.flag", &flag, "a flag");
    options.add("run.text", &text, "a text");
    options.add_choice("prior.choice", &choice, {"one", "two"}, "a choice");
    options.add_list("prior.list", &list, "a list", {0.0, 1.0});
    options.allow_known({"vae.width"});
  }

  std::string read(const std::filesystem::path& path) {
    const std::array<std::string, 2> args = {"--config", path.string()};
    options.parse(args);
    return options.dump();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return hebm::fuzz::judge_file(data, size, [](const std::filesystem::path& path) {
    const auto first = Declared().options.values();
    Declared declared;
    const std::string text = declared.read(path);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    Declared again;
    again.read(path);
    if (again.options.values() != declared.options.values()) std::abort();
  });
}
