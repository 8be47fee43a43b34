#include "evaluate/compose_steps.h"
#include <ATen/ops/full_like.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <numeric>
#include <set>
#include "base/error.h"
#include "base/text.h"
#include "base/visits.h"

namespace hebm::evaluate {
namespace {

ComposeSteps default_steps(const prior::LabelHeads& heads) {
  std::vector<std::size_t> order(heads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return heads[a].layers < heads[b].layers; });
  ComposeSteps out;
  for (const std::size_t head : order) {
    std::size_t step = 0;  // the first after which all its layers are held, else a new one
    const auto& layers = heads[head].layers;
    const auto is_held_after = [&](std::size_t s) {
      const auto held = held_layers(out, s + 1, heads);
      return std::includes(held.begin(), held.end(), layers.begin(), layers.end());
    };
    while (step < out.size() && !is_held_after(step)) ++step;
    if (step == out.size()) out.emplace_back();
    out[step].push_back({head, -1});
  }
  return out;
}

void check_steps(const ComposeSteps& steps, const prior::LabelHeads& heads) {
  std::set<std::size_t> seen;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const auto held = held_layers(steps, s, heads);
    for (const Asked& asked : steps[s]) {
      const prior::LabelHead& head = heads[asked.head];
      check(seen.insert(asked.head).second, ExitCode::kUsage, "--steps: '{}' is there twice", head.name);
      const bool is_free = std::any_of(head.layers.begin(), head.layers.end(),
          [&](std::int64_t layer) { return std::find(held.begin(), held.end(), layer) == held.end(); });
      check(is_free, ExitCode::kUsage,
          "--steps: '{}' is known to layers {}, which step {} holds all; ask for it in an earlier step", head.name,
          fmt::join(head.layers, ","), s + 1);
    }
  }
}

}  // namespace

ComposeSteps parse_steps(const std::string& text, const prior::LabelHeads& heads) {
  ComposeSteps out = text.empty() ? default_steps(heads) : ComposeSteps();
  for (const std::string& step : text.empty() ? std::vector<std::string>() : split(text, '/')) {
    out.emplace_back();
    for (const std::string& part : split(step, ',')) {
      const auto equals = part.find('=');
      const std::size_t head = prior::head_named(heads, part.substr(0, equals));
      out.back().push_back(
          {head, equals == std::string::npos ? -1 : prior::category_named(heads[head], part.substr(equals + 1))});
    }
  }
  check_steps(out, heads);
  return out;
}

std::vector<std::int64_t> held_layers(const ComposeSteps& steps, std::size_t s, const prior::LabelHeads& heads) {
  std::set<std::int64_t> out;
  for (std::size_t before = 0; before < s; ++before) {
    for (const Asked& asked : steps[before])
      out.insert(heads[asked.head].layers.begin(), heads[asked.head].layers.end());
  }
  return {out.begin(), out.end()};
}

std::vector<std::int64_t> asked_of_chain(
    const ComposeSteps& steps, const prior::LabelHeads& heads, std::int64_t chain) {
  std::vector<std::int64_t> out(heads.size(), -1);
  for (const auto& step : steps) {
    for (const Asked& asked : step) {
      const auto categories = static_cast<std::int64_t>(heads[asked.head].categories.size());
      out[asked.head] = asked.category >= 0 ? asked.category : chain % categories;
      if (asked.category < 0) chain /= categories;
    }
  }
  return out;
}

std::vector<at::Tensor> compose_chains(const prior::ReverseChain& chain, const prior::LabelHeads& heads,
    const ComposeSteps& steps, const at::Tensor& asked, const LabelGuidance& guidance, const prior::ChainIds& ids) {
  std::vector<at::Tensor> out;
  prior::LabelChoice choice{at::full_like(asked, -1), guidance.guidance};
  for (std::size_t s = 0; s < steps.size(); ++s) {
    for (const Asked& a : steps[s]) {
      const auto head = static_cast<std::int64_t>(a.head);
      choice.category.select(1, head).copy_(asked.select(1, head));
    }
    prior::ChainIds of_step = ids;
    of_step.visit.assign(ids.item.size(), visits::of_draw(static_cast<std::int64_t>(s)));
    if (s == 0) {
      out.push_back(prior::sample_for_labels(chain, choice, guidance.candidates, of_step));
      continue;
    }
    const auto held = chain.held(held_layers(steps, s, heads), out.back(), of_step);
    out.push_back(prior::sample_for_labels(chain, choice, guidance.candidates, of_step, &held));
  }
  return out;
}

}  // namespace hebm::evaluate
