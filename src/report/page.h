// A page as data: sections of texts, tables, plots and pictures. render() alone knows HTML, escapes
// every text, and keeps the pictures within a budget of bytes for the page.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
#include "report/svg_plot.h"
#include "results/table.h"

namespace hebm::report {

struct Block;
using Blocks = std::vector<Block>;

enum class Tone { kPlain, kSoft, kMissing, kInline };  // kMissing: what is not there, and what makes it
struct Text {
  std::string text;  // `code` between backticks, but in kInline: data as it is
  Tone tone = Tone::kPlain;
};
struct Heading {
  std::string text, href{}, behind{};  // href: where the text leads; behind: more, without a link
};
struct Bar {
  double share = 0;  // of the column's width
  int colour = 0;    // of the style sheet's --c0 .. --c7
};
struct Cell {
  std::string text;
  bool number = false;  // to the right
  std::size_t span = 1;
  std::string href{}, note{};  // note: behind the text, softly
  std::optional<Bar> bar{};
  std::shared_ptr<const Blocks> blocks{};  // below the text
};
struct Row {
  std::vector<Cell> cells;
  std::string style{};
};
struct Table {
  std::vector<Row> heads, rows;
  std::string style{};
};
struct Plots {
  std::vector<LinePlot> plots;
};
struct Picture {
  std::string name;  // file name without .png
  std::int64_t width = 0, height = 0;
  std::string bytes;  // the file
};
struct Figure {
  std::optional<Picture> picture;  // without one, the caption says what makes it
  std::string caption;
  std::string folder = "samples";  // of the file, seen from the page
};
struct Figures {
  std::vector<Figure> figures;
  std::string style = "pictures";
};
struct Numbers {
  std::vector<std::pair<std::string, std::string>> numbers;  // in large type, and what it is
};
struct Verbatim {
  std::string text;
};
struct Boxes {
  std::string style;  // "columns", "beside"
  std::vector<Blocks> boxes;
};

struct Block : std::variant<Text, Heading, Table, Plots, Figures, Numbers, Verbatim, Boxes> {
  using variant::variant;
};

struct Section {
  std::string id, title, link;  // link: its name at the top of the page; "" for none
  Blocks blocks{};
};
struct Page {
  std::string title, generator, about;  // generator: "hebm_dist report", tells whose file it is
  std::vector<std::string> problems{};  // files that could not be used
  std::vector<Section> sections{};
};

std::string render(const Page& page);
std::string generator_mark(const std::string& generator);  // as it stands in a page's head

// Text for HTML and SVG: whatever comes from files or users goes through escape().

// & < > " ' become entities; control characters and bytes that are not UTF-8 become U+FFFD. Safe in
// text and quoted attributes.
std::string escape(std::string_view text);
std::string base64(std::string_view bytes);
// Four significant digits: "0.01234", "37.41", "1.235e+06"; "-" for NaN, "inf".
std::string format_number(double value);
// "2026-01-31 12:00:00 UTC"; the number itself where it is no date of this era.
std::string utc(double seconds);
std::string_view style_sheet();
// Places of at most `most` of `count` things, evenly, the first and the last among them.
std::vector<std::size_t> evenly(std::size_t count, std::size_t most);

// Columns of a table, aligned as what is below them. Numbers have four digits unless said.
results::Column words(std::string title);
results::Column digits(std::string title, std::string format = "{:.4g}");
Table table_of(const results::Table& table);
Cell number_cell(double value);

}  // namespace hebm::report
