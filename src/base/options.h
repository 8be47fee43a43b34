// Declarative options on Boost.Program_options: each field is declared once; that line gives the
// flag (--langevin.steps), the file key ([langevin] steps), the help, the range check and the line
// of the resolved configuration. Precedence: command line (the last of repeated flags) over
// --config and --preset files (later over earlier) over default. A file is regular, at most 1 MiB,
// and has a key once only. Unknown keys are errors that suggest the nearest key. A wrong value
// names key, value, where it came from and what is accepted. The user's errors are Error(kUsage), a
// wrong declaration (twice, no name, default out of range) is Error(kRuntime).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "base/options_field.h"

namespace hebm {

class Options {
 public:
  // `usage`: "hebm_dist train --config FILE.ini [--section.key VALUE ...]"; `about`: a sentence.
  Options(std::string usage, std::string about) : usage_(std::move(usage)), about_(std::move(about)) {}
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // *target's present content is the default. NaN and infinities are refused for double. Keys are
  // "section.name"; a key without a section ("json") is an option of the command line only, absent
  // from files, dump() and values().
  template <class T> Options& add(const std::string& key, T* target, const std::string& help,
      std::type_identity_t<Bounds<T>> bounds = {}, Show show = Show::kAll) {  // std::int64_t or double
    return add(detail::field_of(target, bounds), key, help, show);
  }
  // true false 1 0 yes no on off; `--key` before anything else means true.
  Options& add(const std::string& key, bool* target, const std::string& help, Show show = Show::kAll) {
    return add(detail::field_of(target), key, help, show);
  }
  Options& add(const std::string& key, std::string* target, const std::string& help, Show show = Show::kAll) {
    return add(detail::field_of(target), key, help, show);
  }
  Options& add_choice(const std::string& key, std::string* target, std::vector<std::string> choices,
      const std::string& help, Show show = Show::kAll) {
    return add(detail::field_of(target, std::move(choices)), key, help, show);
  }
  // The names that choices_of(E) gives (base/choice.h), in its order.
  template <NamedEnum E>
  Options& add_choice(const std::string& key, E* target, const std::string& help, Show show = Show::kAll) {
    return add(detail::choice_field(target), key, help, show);
  }
  // "2,4,8"
  template <class T> Options& add_list(const std::string& key, std::vector<T>* target, const std::string& help,
      std::type_identity_t<Bounds<T>> bounds = {}, Show show = Show::kAll) {
    return add(detail::field_of(target, bounds), key, help, show);
  }
  // A field with a section is part of the fingerprint of what the command makes. The last one
  // declared is not, or none of those that `declare` declares: they change no result (intervals of
  // checkpoints, where files are), or the artifact is another command's.
  void outside_fingerprint() { fields_.back().in_fingerprint = false; }
  void outside_fingerprint(const std::function<void()>& declare);
  // One positional argument, in order of the calls (e.g. RUN of `status RUN`).
  void add_positional(const std::string& name, std::string* target, const std::string& help, bool required) {
    positionals_.push_back({name, help, required, target, nullptr});
  }
  void add_positional_list(const std::string& name, std::vector<std::string>* target, const std::string& help) {
    positionals_.push_back({name, help, false, nullptr, target});
  }
  // Runs after parsing; for checks across fields. Throw Error(kUsage).
  void add_check(std::function<void()> check) { checks_.push_back(std::move(check)); }

  enum class Action { kRun, kDryRun, kHelpShown };
  // args without the program and command name. --help, --help-all and --print-value KEY print to
  // stdout and give kHelpShown. A file that has keys of other commands' sections (a pipeline's one
  // INI) is fine: keys listed by allow_known are skipped silently, all others are errors.
  Action parse(std::span<const std::string> args);
  void allow_known(const std::vector<std::string>& keys) { foreign_.insert(keys.begin(), keys.end()); }

  // The resolved configuration as an INI that parse() reads back; comments: each value's origin.
  std::string dump() const;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  // key -> value text of every field, sorted; what config hashes are made of.
  Pairs values() const {
    return values([](const detail::Field&) { return true; });
  }
  Pairs fingerprint() const {  // of these, what is part of it
    return values([](const detail::Field& field) { return field.in_fingerprint; });
  }
  std::string help(bool all) const;
 private:
  struct Positional {
    std::string name, help;
    bool required = false;
    std::string* one = nullptr;
    std::vector<std::string>* many = nullptr;
  };

  Options& add(detail::Field field, const std::string& key, const std::string& help, Show show);
  detail::Field* find(const std::string& key);
  std::vector<detail::Section> sections() const;  // in the order of declaration
  Pairs values(bool (*wanted)(const detail::Field&)) const;
  std::string suggestion(const std::string& key, const char* prefix) const;
  void read_file(const std::string& path);
  void assign_positionals(std::span<const std::string> left);
  std::vector<std::string> normalise(std::span<const std::string> args);
  Pairs parse_command_line(std::span<const std::string> args);  // key -> value; positional ones have the key ""

  std::string usage_, about_;
  std::vector<detail::Field> fields_;
  std::map<std::string, std::size_t> by_key_;
  std::vector<Positional> positionals_;
  std::vector<std::function<void()>> checks_;
  std::set<std::string> foreign_;  // keys of other commands
};

}  // namespace hebm
