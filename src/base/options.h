// Declarative options on Boost.Program_options: each field is declared once; that line gives the
// flag (--langevin.steps), the file key ([langevin] steps), the help, the range check and the line
// of the resolved configuration. Precedence: command line (the last of repeated flags) over
// --config and --preset files (later over earlier) over default. A file is regular, at most 1 MiB,
// and has a key once only. Unknown keys are errors that suggest the nearest key. A wrong value
// names key, value, where it came from and what is accepted. All errors of the user are
// Error(kUsage); a declaration that is wrong (twice, an empty name, default out of range) is
// Error(kRuntime).
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "base/choice.h"

namespace hebm {

template <class T> struct Bounds {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

enum class Show { kCommon, kAll };  // kCommon: in --help; kAll: only in --help-all

class Options {
 public:
  // `usage` e.g. "hebm_dist train --config FILE.ini [--section.key VALUE ...]"; `about` one or two
  // sentences.
  Options(std::string usage, std::string about);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // *target's present content is the default. NaN and infinities are refused for double. Keys are
  // "section.name"; a key without a section ("json") is an option of the command line only, absent
  // from files, dump() and values().
  Options& add(const std::string& key, std::int64_t* target, const std::string& help, Bounds<std::int64_t> bounds = {},
      Show show = Show::kAll);
  Options& add(const std::string& key, double* target, const std::string& help, Bounds<double> bounds = {},
      Show show = Show::kAll);
  // true false 1 0 yes no on off; `--key` before anything else means true.
  Options& add(const std::string& key, bool* target, const std::string& help, Show show = Show::kAll);
  Options& add(const std::string& key, std::string* target, const std::string& help, Show show = Show::kAll);
  Options& add_choice(const std::string& key, std::string* target, std::vector<std::string> choices,
      const std::string& help, Show show = Show::kAll);
  // The names that choices_of(E) gives (base/choice.h), in its order.
  template <NamedEnum E>
  Options& add_choice(const std::string& key, E* target, const std::string& help, Show show = Show::kAll) {
    std::vector<std::string> names;
    for (const Choice<E>& choice : choices_of(E{})) names.emplace_back(choice.name);
    return add_choice(
        key, std::move(names), [target](const std::string& name) { *target = *value_named<E>(name); },
        [target] { return std::string(name_of(*target)); }, help, show);
  }
  // "2,4,8"
  Options& add_list(const std::string& key, std::vector<std::int64_t>* target, const std::string& help,
      Bounds<std::int64_t> bounds = {}, Show show = Show::kAll);
  Options& add_list(const std::string& key, std::vector<double>* target, const std::string& help,
      Bounds<double> bounds = {}, Show show = Show::kAll);
  // A field with a section is part of the fingerprint of what the command makes. The last one
  // declared is not, or none of those that `declare` declares: they change no result (intervals of
  // checkpoints, where files are), or the artifact is another command's.
  void outside_fingerprint();
  void outside_fingerprint(const std::function<void()>& declare);
  // One positional argument, in order of the calls (e.g. RUN of `status RUN`).
  void add_positional(const std::string& name, std::string* target, const std::string& help, bool required);
  void add_positional_list(const std::string& name, std::vector<std::string>* target, const std::string& help);
  // Runs after parsing; for checks across fields. Throw Error(kUsage).
  void add_check(std::function<void()> check);

  enum class Action { kRun, kDryRun, kHelpShown };
  // args without the program and command name. --help, --help-all print to stdout and give
  // kHelpShown. A file that has keys of other commands' sections (a pipeline's one INI) is fine:
  // keys listed by allow_known are skipped silently, all others are errors.
  Action parse(std::span<const std::string> args);
  void allow_known(std::vector<std::string> keys);

  // The resolved configuration as an INI that parse() reads back, with the origin of each value as
  // a comment.
  std::string dump() const;
  // key -> value text of every field, sorted; what config hashes are made of.
  std::vector<std::pair<std::string, std::string>> values() const;
  std::vector<std::pair<std::string, std::string>> fingerprint() const;  // of these, what is part of it
  std::string help(bool all) const;
 private:
  Options& add_choice(const std::string& key, std::vector<std::string> names,
      std::function<void(const std::string&)> set, std::function<std::string()> text, const std::string& help,
      Show show);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hebm
