// Several attributes step by step (Sec. 5.3, Fig. 4): the first step draws all layers with its
// attributes; each later one holds the layers of the attributes before it and draws the others
// anew, given these and with its own attributes too.
#pragma once
#include "evaluate/experiment.h"
#include "prior/reverse_chain.h"

namespace hebm::evaluate {

struct Asked {
  std::size_t head = 0;
  std::int64_t category = -1;  // -1: all categories in turn
};
using ComposeSteps = std::vector<std::vector<Asked>>;

// "group=top/brightness,width=wide": steps with '/', their attributes with ','; without '=' all
// categories in turn. "": heads in the order of their top layers, each in the first step after
// which all its layers are held, or in one of its own. Error(kUsage) naming what is wrong: a label
// or category that is not there (those that are), one twice, one whose layers earlier steps hold
// all.
ComposeSteps parse_steps(const std::string& text, const prior::LabelHeads& heads);
// Layers that step s leaves where they are: those of all heads of the steps before it. Ascending.
std::vector<std::int64_t> held_layers(const ComposeSteps& steps, std::size_t s, const prior::LabelHeads& heads);
// Category of every head that chain c is asked for, -1 for heads of no step: mixed radix digits of
// c over the heads asked in turn.
std::vector<std::int64_t> asked_of_chain(const ComposeSteps& steps, const prior::LabelHeads& heads, std::int64_t chain);

// u_0 after each step, [B, D]: held layers are those of the step before, bit by bit. asked [B,
// heads]; ids: visit 0.
std::vector<at::Tensor> compose_chains(const prior::ReverseChain& chain, const prior::LabelHeads& heads,
    const ComposeSteps& steps, const at::Tensor& asked, const LabelGuidance& guidance, const prior::ChainIds& ids);

}  // namespace hebm::evaluate
