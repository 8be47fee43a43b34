#include "results/table.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>

namespace hebm::results {
namespace {

std::string padded(const std::string& text, std::size_t width, Align align) {
  return align == Align::kLeft ? fmt::format("{:<{}}", text, width) : fmt::format("{:>{}}", text, width);
}

std::size_t width_of(const Table& table, std::size_t c) {
  const Column& column = table.columns[c];
  if (column.width > 0) return column.width;
  std::size_t width = column.title.size();
  for (const auto& row : table.rows) width = std::max(width, cell_text(row[c], column.format).size());
  return width;
}

std::string markdown_line(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_cell(const Cell& cell) {
  if (!has_value(cell)) return "";
  return std::holds_alternative<double>(cell) ? fmt::format("{:.6g}", std::get<double>(cell))
                                              : csv_text(std::get<std::string>(cell));
}

}  // namespace

bool has_value(const Cell& cell) {
  return std::holds_alternative<double>(cell) ? std::isfinite(std::get<double>(cell))
                                              : !std::get<std::string>(cell).empty();
}

std::string cell_text(const Cell& cell, const std::string& format) {
  if (!has_value(cell)) return "-";
  if (!std::holds_alternative<double>(cell)) return std::get<std::string>(cell);
  std::string out = fmt::format(fmt::runtime(format), std::get<double>(cell));
  if (out.starts_with('-') && out.find_first_of("123456789") == std::string::npos) out.erase(0, 1);  // -0.000
  return out;
}

void Table::drop_empty_columns() {
  for (std::size_t c = columns.size(); c-- > 0;) {
    if (std::any_of(rows.begin(), rows.end(), [c](const auto& row) { return has_value(row[c]); })) continue;
    const auto place = static_cast<std::ptrdiff_t>(c);
    columns.erase(columns.begin() + place);
    for (auto& row : rows) row.erase(row.begin() + place);
  }
}

std::string large_text(double value) {
  if (!std::isfinite(value)) return "";
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e4 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f}", value);
}

std::string text(const Table& table) {
  std::vector<std::string> lines(table.rows.size() + 1);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    const std::size_t width = width_of(table, c);
    const std::string gap(c == 0 ? 0 : column.gap, ' ');
    lines[0] += gap + padded(column.title, width, column.align);
    for (std::size_t r = 0; r < table.rows.size(); ++r)
      lines[r + 1] += gap + padded(cell_text(table.rows[r][c], column.format), width, column.align);
  }
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::string markdown(const Table& table) {
  std::vector<std::string> titles;
  for (const Column& column : table.columns) titles.push_back(column.title);
  std::string out = markdown_line(titles) + markdown_line(std::vector<std::string>(titles.size(), "---"));
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < row.size(); ++c) cells.push_back(cell_text(row[c], table.columns[c].format));
    out += markdown_line(cells);
  }
  return out;
}

std::string csv(const Table& table) {
  const auto line = [&](const auto& cell_of) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (!table.columns[c].key.empty()) cells.push_back(cell_of(c));
    }
    return fmt::format("{}\n", fmt::join(cells, ","));
  };
  std::string out = line([&](std::size_t c) { return csv_text(table.columns[c].key); });
  for (const auto& row : table.rows) out += line([&](std::size_t c) { return csv_cell(row[c]); });
  return out;
}

}  // namespace hebm::results
