// Sections on how the run was set up and how it went: curves, configuration, environment, commands.
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <sstream>
#include <string_view>

#include "report/curves.h"
#include "report/html.h"
#include "report/sections.h"
#include "report/summary.h"

namespace hebm::report {
namespace {

constexpr std::size_t kMaxPlots = 24;  // a part; the page's size

std::string part_title(const std::string& name) {
  static const std::map<std::string, std::string> kTitles = {{"", "This run"},
                                                             {"vae", "VAE"},
                                                             {"features", "Feature classifier"},
                                                             {"encode", "Latent cache"},
                                                             {"prior", "Energy-based prior"},
                                                             {"prior-joint", "Joint EBM prior"},
                                                             {"prior-nce", "NCE prior: classifiers by layer"}};
  const auto it = kTitles.find(name);
  return it == kTitles.end() ? name : it->second;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// One line "steps = 50  # command line" as a row; what does not come from the default is set in
// bold.
std::string config_row(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return fmt::format("<tr><td colspan=\"2\">{}</td></tr>", escape(line));
  std::string_view value = line.substr(equals + 1), origin;
  if (const auto hash = value.rfind("  # "); hash != std::string_view::npos) {
    origin = trimmed(value.substr(hash + 4));
    value = value.substr(0, hash);
  }
  const bool changed = !origin.empty() && !origin.starts_with("default");
  return fmt::format("<tr{}><td>{}</td><td>{}{}</td></tr>\n", changed ? " class=\"changed\"" : "",
                     escape(trimmed(line.substr(0, equals))), escape(trimmed(value)),
                     changed ? fmt::format(" <span class=\"soft\">{}</span>", escape(origin)) : "");
}

std::string config_html(const std::string& text) {
  std::istringstream lines(text);
  std::string out = "<div class=\"columns\">", line;
  bool open = false;
  const auto start = [&](std::string_view title) {
    out += open ? "</table></section>\n" : "";
    out += "<section>" + (title.empty() ? std::string() : fmt::format("<h3>{}</h3>", escape(title))) + "<table>\n";
    open = true;
  };
  while (std::getline(lines, line)) {
    const std::string_view content = trimmed(line);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content.front() == '[' && content.back() == ']') {
      start(content.substr(1, content.size() - 2));
      continue;
    }
    if (!open) start("");
    out += config_row(content);
  }
  return out + (open ? "</table></section>" : "") + "</div>\n";
}

// "0" for a single line that never changes, "" for all others.
std::string constant_value(const LinePlot& plot) {
  if (plot.series.size() != 1 || plot.series[0].y.size() < 3) return {};
  const std::vector<double>& y = plot.series[0].y;
  const bool constant = std::all_of(y.begin(), y.end(), [&](double v) { return v == y.front(); });
  return constant ? format_number(y.front()) : "";
}

// An argument as a shell would need it.
std::string quoted(const std::string& argument) {
  const bool plain = !argument.empty() && std::all_of(argument.begin(), argument.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("-_./=:,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return argument;
  std::string out = "'";
  for (const char c : argument) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_of(const nlohmann::json& env) {
  if (!env.is_object() || !env.contains("command")) return {};
  const nlohmann::json& command = env["command"];
  if (command.is_string()) return command.get<std::string>();
  std::string out;
  if (!command.is_array()) return out;
  for (const nlohmann::json& argument : command) {
    if (!argument.is_string()) continue;
    if (!out.empty()) out += ' ';
    out += quoted(argument.get<std::string>());
  }
  return out;
}

}  // namespace

std::string curves_section(const RunFolder& run) {
  std::string out = "<h2 id=\"curves\">Curves</h2>\n";
  bool any = false;
  for (const RunPart& part : run.parts) {
    std::string plots, constants;
    std::size_t drawn = 0, left_out = 0;
    for (const LinePlot& plot : plots_of(part.metrics)) {
      if (const std::string constant = constant_value(plot); !constant.empty()) {
        constants += fmt::format("{}{}: {}", constants.empty() ? "" : "; ", escape(plot.title), constant);
        continue;
      }
      const std::string svg = drawn < kMaxPlots ? line_plot_svg(plot) : "";
      drawn += svg.empty() ? 0 : 1;
      left_out += svg.empty() ? 1 : 0;
      plots += svg;
    }
    if (plots.empty() && constants.empty()) continue;
    any = true;
    out += fmt::format("<h3>{}</h3>\n<div class=\"plots\">{}</div>\n", escape(part_title(part.name)), plots);
    if (!constants.empty()) out += fmt::format("<p class=\"soft\">Constant: {}.</p>\n", constants);
    if (left_out > 0) out += fmt::format("<p class=\"soft\">{} more in metrics.jsonl.</p>\n", left_out);
  }
  if (!any) return out + missing("No curves yet: training writes <code>metrics.jsonl</code>.");
  return out +
         "<p class=\"soft\">Faint: recorded values. Strong: their exponential moving average over a sixtieth of the "
         "record, at least 8 values.</p>\n";
}

std::string configuration_section(const RunFolder& run) {
  std::string out = "<h2 id=\"configuration\">Configuration</h2>\n", body;
  for (const RunPart& part : run.parts) {
    if (part.config.empty()) continue;
    body += fmt::format("<h3>{}</h3>\n{}", escape(part_title(part.name)), config_html(part.config));
  }
  if (body.empty()) return out + missing("No <code>config.ini</code> in this folder.");
  return out + "<p class=\"soft\">Bold: not the default, with where it comes from.</p>\n" + body;
}

std::string environment_section(const RunFolder& run) {
  std::string out = "<h2 id=\"environment\">Environment</h2>\n", body;
  std::string first;
  for (const RunPart& part : run.parts) {
    if (!part.env.is_object()) continue;
    nlohmann::json env = part.env;
    env.erase("command");
    if (const double seconds = number_in(env, "time"); std::isfinite(seconds)) env["time"] = utc(seconds);
    const std::string html = json_html(env);
    const std::string title = escape(part_title(part.name));
    // Steps of one run mostly share machine and versions: said once.
    body += html == first ? fmt::format("<p class=\"soft\">{}: the same.</p>\n", title)
                          : fmt::format("<h3>{}</h3>\n{}", title, html);
    if (first.empty()) first = html;
  }
  return out + (body.empty() ? missing("No <code>env.json</code> in this folder.") : body);
}

std::string commands_section(const RunFolder& run) {
  std::string commands;
  for (const RunPart& part : run.parts) {
    const std::string command = command_of(part.env);
    if (!command.empty()) commands += "# " + escape(part_title(part.name)) + "\n" + escape(command) + "\n";
  }
  const std::string heading = "<h2 id=\"commands\">How it was made</h2>\n";
  if (commands.empty())
    return heading + missing("No commands recorded: each step writes its own to <code>env.json</code>.");
  return heading + "<pre>" + commands + "</pre>\n";
}

}  // namespace hebm::report
