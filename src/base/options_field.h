// One declared option under options.h: how its text is read, checked and written, by type.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "base/options.h"

namespace hebm::detail {

struct Field {
  std::string key;                  // "section.name", or "name"
  std::string value_name, accepts;  // "INT", "an integer in [1, 10]"
  std::string help;
  Show show = Show::kAll;
  bool is_bool = false, in_fingerprint = true;
  std::function<bool(const std::string&)> assign;  // false: not accepted, target unchanged
  std::function<std::string()> text;               // as assign reads it
  std::string default_text, origin = "default";

  // "" for a key without a section: it is an option of the command line only, not of files and
  // dumps (--json).
  std::string section() const { return key.find('.') == std::string::npos ? "" : key.substr(0, key.rfind('.')); }
  std::string name() const { return key.substr(key.rfind('.') + 1); }
};

struct Positional {
  std::string name, help;
  bool required = false;
  std::string* one = nullptr;
  std::vector<std::string>* many = nullptr;
};

// Key, help, show, default_text and origin are the caller's to fill.
Field integer_field(std::int64_t* target, Bounds<std::int64_t> bounds);
Field double_field(double* target, Bounds<double> bounds);
Field bool_field(bool* target);
Field text_field(std::string* target);
// set gets one of the names; text gives the present one.
Field choice_field(
    std::vector<std::string> names, std::function<void(const std::string&)> set, std::function<std::string()> text);
Field integer_list_field(std::vector<std::int64_t>* target, Bounds<std::int64_t> bounds);
Field double_list_field(std::vector<double>* target, Bounds<double> bounds);

}  // namespace hebm::detail
