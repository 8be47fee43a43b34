// All HTML of a page but its plots (svg_plot.cpp).
#include <fmt/format.h>
#include <algorithm>
#include <string_view>
#include "report/page.h"

namespace hebm::report {
namespace {

constexpr std::size_t kMaxPicture = 400 << 10, kMaxPictures = 1100 << 10;  // bytes of PNG: a page below about 2 MB
constexpr int kBarWidth = 90;                                              // pixels

constexpr const char* kSkeleton = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
{mark}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - {generator}</title>
<style>{style}</style></head>
<body>
<h1>{title}</h1>
<p class="soft">Diffusion of energy-based priors in the latent space of a hierarchical VAE: {about}</p>
{links}{problems}{sections}</body></html>
)";

// ` name="value"`, or nothing for no value.
std::string attribute(const char* name, std::string_view value) {
  return value.empty() ? "" : fmt::format(" {}=\"{}\"", name, escape(value));
}

std::string link(const std::string& text, const std::string& href) {
  return href.empty() ? escape(text) : fmt::format("<a{}>{}</a>", attribute("href", href), escape(text));
}

// What stands between two backticks is code.
std::string prose(const std::string& text) {
  std::string out = escape(text);
  for (std::size_t open = out.find('`'); open != std::string::npos; open = out.find('`', open)) {
    const std::size_t close = out.find('`', open + 1);
    if (close == std::string::npos) break;
    out.replace(close, 1, "</code>").replace(open, 1, "<code>");
  }
  return out;
}

class Renderer {
 public:
  std::string section(const Section& section) {
    return fmt::format("<h2 id=\"{}\">{}</h2>\n{}", section.id, escape(section.title), blocks(section.blocks));
  }

  std::string operator()(const Text& text) {
    if (text.tone == Tone::kInline) return escape(text.text);
    const char* style = text.tone == Tone::kPlain ? "" : text.tone == Tone::kSoft ? "soft" : "missing";
    return fmt::format("<p{}>{}</p>\n", attribute("class", style), prose(text.text));
  }
  std::string operator()(const Heading& heading) {
    return fmt::format("<h3>{}{}</h3>\n", link(heading.text, heading.href), escape(heading.behind));
  }
  std::string operator()(const Table& table) {
    std::string rows;
    for (const Row& head : table.heads) rows += row(head, "th");
    for (const Row& body : table.rows) rows += row(body, "td");
    if (table.style == "plain") return "<table>\n" + rows + "</table>";
    return fmt::format("<div class=\"wide\"><table{}>{}</table></div>\n", attribute("class", table.style), rows);
  }
  std::string operator()(const Plots& plots) {
    std::string drawn;
    for (const LinePlot& plot : plots.plots) drawn += line_plot_svg(plot);
    return "<div class=\"plots\">" + drawn + "</div>\n";
  }
  std::string operator()(const Figures& figures) {
    std::string shown;
    for (const Figure& one : figures.figures) shown += figure(one);
    return shown.empty() ? "" : fmt::format("<div class=\"{}\">{}</div>\n", figures.style, shown);
  }
  std::string operator()(const Numbers& numbers) {
    std::string out = "<div class=\"figures\">";
    for (const auto& [number, what] : numbers.numbers)
      out += fmt::format("<div><b>{}</b><span>{}</span></div>", escape(number), escape(what));
    return out + "</div>\n";
  }
  std::string operator()(const Verbatim& verbatim) { return "<pre>" + escape(verbatim.text) + "</pre>\n"; }
  std::string operator()(const Boxes& boxes) {
    std::string out = fmt::format("<div class=\"{}\">", boxes.style);
    for (const Blocks& box : boxes.boxes) out += "<section>" + blocks(box) + "</section>\n";
    return out + "</div>\n";
  }
 private:
  std::string blocks(const Blocks& all) {
    std::string out;
    for (const Block& block : all) out += std::visit(*this, block);
    return out;
  }

  std::string row(const Row& row, const char* tag) {
    std::string out = fmt::format("<tr{}>", attribute("class", row.style));
    for (const Cell& one : row.cells) out += cell(one, tag);
    return out + "</tr>\n";
  }

  std::string cell(const Cell& cell, const char* tag) {
    const bool is_head = tag == std::string_view("th");
    std::string out = fmt::format("<{}{}{}", tag,
        attribute("class", cell.bar      ? "bars"
                           : cell.number ? "n"
                                         : ""),
        attribute("colspan", cell.span > 1 ? std::to_string(cell.span) : ""));
    if (cell.bar && !is_head) out += fmt::format(" style=\"min-width:{}px\"", kBarWidth);
    out += ">" + link(cell.text, cell.href);
    if (cell.bar && !is_head)
      out += fmt::format("<span class=\"bar\" style=\"width:{:.0f}px;background:var(--c{})\"></span>",
          kBarWidth * cell.bar->share, cell.bar->colour);
    if (!cell.note.empty()) out += fmt::format(" <span class=\"soft\">{}</span>", escape(cell.note));
    return out + (cell.blocks ? blocks(*cell.blocks) : "") + fmt::format("</{}>", tag);
  }

  std::string figure(const Figure& figure) {
    if (!figure.picture) return "<div>" + (*this)(Text{figure.caption, Tone::kMissing}) + "</div>\n";
    const Picture& picture = *figure.picture;
    std::string out = fmt::format("<figure><figcaption>{}</figcaption>", escape(figure.caption));
    if (picture.bytes.size() <= std::min(kMaxPicture, left_)) {
      left_ -= picture.bytes.size();
      out += fmt::format("<img{} width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">",
          attribute("alt", figure.caption), picture.width, picture.height, base64(picture.bytes));
    } else {
      out += (*this)(Text{fmt::format("Too large for this page ({} KiB): see {}/{}.png", picture.bytes.size() >> 10,
                              figure.folder, picture.name),
          Tone::kMissing});
    }
    return out + "</figure>\n";
  }

  std::size_t left_ = kMaxPictures;
};

std::string links(const std::vector<Section>& sections) {
  std::string out;
  for (const Section& section : sections) {
    if (!section.link.empty()) out += fmt::format("<a href=\"#{}\">{}</a>", section.id, escape(section.link));
  }
  return out.empty() ? "" : "<nav>" + out + "</nav>\n";
}

std::string problems(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& problem : all) out += fmt::format("<li>{}</li>", escape(problem));
  if (out.empty()) return out;
  return "<div class=\"problems\"><p>These files could not be used:</p><ul>" + out + "</ul></div>\n";
}

}  // namespace

std::string generator_mark(const std::string& generator) {
  return fmt::format("<meta name=\"generator\"{}>", attribute("content", generator));
}

std::string render(const Page& page) {
  std::string sections;
  Renderer renderer;
  for (const Section& section : page.sections) sections += renderer.section(section);
  return fmt::format(fmt::runtime(kSkeleton), fmt::arg("mark", generator_mark(page.generator)),
      fmt::arg("title", escape(page.title)), fmt::arg("generator", escape(page.generator)),
      fmt::arg("style", style_sheet()), fmt::arg("about", escape(page.about)), fmt::arg("links", links(page.sections)),
      fmt::arg("problems", problems(page.problems)), fmt::arg("sections", sections));
}

results::Column words(std::string title) { return {.title = std::move(title), .align = results::Align::kLeft}; }

results::Column digits(std::string title, std::string format) {
  return {.title = std::move(title), .format = std::move(format)};
}

Cell number_cell(double value) { return {.text = format_number(value), .number = true}; }

Table table_of(const results::Table& table) {
  Table out{.heads = {Row{}}, .rows = {}};
  for (const results::Column& column : table.columns)
    out.heads[0].cells.push_back({.text = column.title, .number = column.align == results::Align::kRight});
  for (const auto& row : table.rows) {
    std::vector<Cell>& cells = out.rows.emplace_back().cells;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const bool number = table.columns[c].align == results::Align::kRight;
      const auto* words = number ? nullptr : std::get_if<std::string>(&row[c]);  // as they are
      cells.push_back({words ? *words : results::cell_text(row[c], table.columns[c].format), number});
    }
  }
  return out;
}

}  // namespace hebm::report
