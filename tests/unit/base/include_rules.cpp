#include "include_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace hebm::testing_rules {
namespace {

using Set = std::set<std::string, std::less<>>;

const std::map<std::string, Set, std::less<>>& table() {
  static const Set kPipeline{"base", "comm", "storage", "data", "nets", "vae", "prior"};
  static const std::map<std::string, Set, std::less<>> kTable{
      {"base", {}},
      {"comm", {"base"}},
      {"storage", {"base"}},
      {"data", {"base", "storage"}},
      {"nets", {"base", "storage"}},
      {"vae", {"base", "storage", "nets"}},
      {"prior", {"base", "storage", "nets", "vae"}},
      {"train", kPipeline},
      {"encode", kPipeline},
      {"sample", kPipeline},
      {"evaluate", {"base", "comm", "storage", "data", "nets", "vae", "prior", "results"}},
      {"results", {"base", "storage"}},
      {"report", {"base", "storage", "results"}},
      {"sweep", {"base", "storage", "results"}},
      {"cli",
       {"base", "comm", "storage", "data", "nets", "vae", "prior", "train", "encode", "sample", "evaluate", "results",
        "report", "sweep"}},
      {"data_tools", {"base", "storage", "data"}},
  };
  return kTable;
}

const Set kWithoutTorch{"base", "comm", "storage", "data", "results", "report", "sweep", "data_tools"};
const Set kMayIncludeAllOfTorch{"nets", "vae", "prior", "train"};

struct File {
  std::string path, module;
  bool header = false;
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Where the literal that starts at `i` ends (one behind it). A raw string has its delimiter; others
// end at the line's end at the latest.
std::size_t literal_end(std::string_view text, std::size_t i) {
  if (text[i] == '"' && i > 0 && text[i - 1] == 'R') {
    const std::size_t open = text.find('(', i);
    if (open == std::string_view::npos) return text.size();
    const std::string close = ")" + std::string(text.substr(i + 1, open - i - 1)) + "\"";
    const std::size_t end = text.find(close, open);
    return end == std::string_view::npos ? text.size() : end + close.size();
  }
  for (std::size_t j = i + 1; j < text.size(); ++j) {
    if (text[j] == '\\') {
      ++j;
    } else if (text[j] == text[i]) {
      return j + 1;
    } else if (text[j] == '\n') {
      return j;
    }
  }
  return text.size();
}

std::string check_include(const File& file, const std::string& target, bool quoted) {
  const std::string first = target.substr(0, target.find('/'));
  if (target.find('/') != std::string::npos && table().contains(first)) {
    const bool allowed = first == file.module || table().find(file.module)->second.contains(first);
    return allowed ? "" : fmt::format("{}/ may not include {}", file.module, target);
  }
  if (quoted) {
    const bool own = file.module == "data_tools" && target.find('/') == std::string::npos;
    return own ? "" : fmt::format("\"{}\" does not start with a module of the table", target);
  }
  const bool mpi = target.starts_with("mpi.h") || target.starts_with("mpi-") || target.starts_with("nccl");
  if (mpi && file.module != "comm") return fmt::format("<{}> belongs to comm/ alone", target);
  const bool hdf5 = target.starts_with("hdf5") || target.starts_with("H5");
  if (hdf5 && file.module != "storage") return fmt::format("<{}> belongs to storage/ alone", target);
  const bool torch = first == "torch" || first == "ATen" || first == "c10" || first == "caffe2";
  if (torch && kWithoutTorch.contains(file.module))
    return fmt::format("{}/ may not include torch: <{}>", file.module, target);
  if (first == "torch" && file.header)
    return fmt::format("a header may not include <{}>; ATen/core/Tensor.h will do", target);
  if ((target == "torch/torch.h" || target == "torch/all.h" || target == "torch/extension.h") &&
      !kMayIncludeAllOfTorch.contains(file.module)) {
    return fmt::format("<{}> belongs to sources of nets, vae, prior and train", target);
  }
  if (target == "torch/script.h" || target.starts_with("torch/csrc/jit") ||
      target.find("pickle") != std::string::npos) {
    return fmt::format("<{}> reads code from files; weights are safetensors", target);
  }
  return "";
}

// "" or what is wrong with one line that is free of comments.
std::string check_include_line(const File& file, std::string_view line) {
  const auto skip_blanks = [&line] {
    while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  };
  skip_blanks();
  if (!line.starts_with('#')) return "";
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return "";
  line.remove_prefix(std::string_view("include").size());
  skip_blanks();
  const char close = line.starts_with('<') ? '>' : '"';
  const std::size_t end =
      line.empty() || (line[0] != '<' && line[0] != '"') ? std::string_view::npos : line.find(close, 1);
  if (end == std::string_view::npos) return "an include must name its file in <> or \"\"";
  const std::string target(line.substr(1, end - 1));
  if (target.find("..") != std::string::npos)
    return fmt::format("\"{}\" leaves its folder; start with the module", target);
  return check_include(file, target, close == '"');
}

std::string check_words(const File& file, const std::string& line) {
  for (const char* banned : {"torch::load", "jit::load", "torch::jit", "import_ir_module"}) {
    if (line.find(banned) != std::string::npos)
      return fmt::format("{} runs code from files; weights are safetensors", banned);
  }
  std::string lower = line;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.find("pickle") != std::string::npos) return "pickle runs code from files; weights are safetensors";
  const std::size_t use = line.find("using namespace");
  if (file.header && use != std::string::npos && (use == 0 || !is_word(line[use - 1]))) {
    return "a header may not say `using namespace`";
  }
  return "";
}

File describe(const std::string& path) {
  File file{path, "", path.ends_with(".h") || path.ends_with(".cuh")};
  const std::string inner = path.starts_with("src/") ? path.substr(4) : path;
  const std::size_t slash = inner.find('/');
  if (slash != std::string::npos) file.module = inner.substr(0, slash);
  return file;
}

}  // namespace

std::string strip(std::string_view text, bool literals) {
  std::string out(text);
  const auto blank = [&out](std::size_t from, std::size_t to) {
    for (std::size_t j = from; j < to; ++j) {
      if (out[j] != '\n') out[j] = ' ';
    }
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    if (text.substr(i, 2) == "//") {
      end = std::min(text.find('\n', i), text.size());
      blank(i, end);
    } else if (text.substr(i, 2) == "/*") {
      const std::size_t close = text.find("*/", i + 2);
      end = close == std::string_view::npos ? text.size() : close + 2;
      blank(i, end);
    } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || !is_word(text[i - 1])))) {  // not the ' of 1'000
      end = literal_end(text, i);
      if (literals) blank(i + 1, end > i + 1 ? end - 1 : end);
    }
    i = end;
  }
  return out;
}

std::vector<std::string> violations(const std::string& path, std::string_view text) {
  const File file = describe(path);
  if (!table().contains(file.module)) return {path + ":1: its folder is not in the table of modules"};
  std::vector<std::string> found;
  const std::string code = strip(text, false), words = strip(text, true);
  if (file.header && code.find("#pragma once") == std::string::npos)
    found.push_back(path + ":1: a header without #pragma once");
  std::size_t begin = 0;
  for (int line = 1; begin < code.size(); ++line) {
    const std::size_t end = std::min(code.find('\n', begin), code.size());
    for (const std::string& problem : {check_include_line(file, std::string_view(code).substr(begin, end - begin)),
                                       check_words(file, words.substr(begin, end - begin))}) {
      if (!problem.empty()) found.push_back(fmt::format("{}:{}: {}", path, line, problem));
    }
    begin = end + 1;
  }
  return found;
}

}  // namespace hebm::testing_rules
