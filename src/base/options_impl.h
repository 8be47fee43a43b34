// The state of Options, and its parser's pieces (options_parse.cpp). For base/options*.cpp alone.
#pragma once
#include <boost/program_options.hpp>
#include <map>
#include <set>
#include "base/options.h"
#include "base/options_field.h"

namespace hebm {

struct Options::Impl {
  std::string usage, about;
  std::vector<detail::Field> fields;
  std::map<std::string, std::size_t> by_key;
  std::vector<detail::Positional> positionals;
  std::vector<std::function<void()>> checks;
  std::set<std::string> foreign;  // keys of other commands

  void add(detail::Field field, const std::string& key, const std::string& help, Show show);
  detail::Field* find(const std::string& key);
  std::string suggestion(const std::string& key, const char* prefix) const;
  void assign(detail::Field& field, const std::string& value, const std::string& origin, const std::string& place);
  void read_file(const std::string& path);
  std::vector<std::pair<std::string, std::string>> values(bool (*wanted)(const detail::Field&)) const;  // sorted
  void assign_positionals(const std::vector<std::string>& values);
  boost::program_options::options_description describe(bool all) const;
  std::vector<std::string> normalise(std::span<const std::string> args);
  std::vector<boost::program_options::option> parse_command_line(std::span<const std::string> args);
};

}  // namespace hebm
