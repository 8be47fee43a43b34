// One table for the terminal, CSV, Markdown and (report/) HTML.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace hebm::results {

enum class Align { kRight, kLeft };

struct Column {
  std::string title;
  std::string format = "{}";  // of fmt, for numbers
  std::size_t width = 0;      // in text: at least; 0: as wide as the longest cell
  Align align = Align::kRight;
  std::size_t gap = 1;   // blanks before it in text, but for the first column
  std::string key = {};  // in CSV; "": not there
};

using Cell = std::variant<std::string, double>;  // "" or NaN: no value

// "-" where there is no value.
std::string cell_text(const Cell& cell, const std::string& format);
bool has_value(const Cell& cell);

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows{};
  void drop_empty_columns();  // those without a value in any row
};

template <class Row> struct ColumnOf {
  Column column;
  std::function<Cell(const Row&)> cell;
};

template <class Row> Table tabulate(const std::vector<ColumnOf<Row>>& columns, const std::vector<Row>& rows) {
  Table out;
  for (const auto& c : columns) out.columns.push_back(c.column);
  for (const Row& row : rows) {
    out.rows.emplace_back();
    for (const auto& c : columns) out.rows.back().push_back(c.cell(row));
  }
  return out;
}

// 2,457,600 -> "2.46 M"; "" where it is unknown.
std::string large_text(double value);
std::string text(const Table& table);
std::string markdown(const Table& table);
std::string csv(const Table& table);  // numbers with six digits, nothing where there is no value

}  // namespace hebm::results
