// Coupling with labels at t = 0 (Sec. 3.3, A.2). A head is one label y whose C categories some
// layers tell apart: at t = 0 their nets give, beside f_i, one number g_{i,y} a category, so that
// f_{i,y} = f_i + g_{i,y} (times s_0^2, like every f here). Heads are independent given u_0.
//   Eq. 14: logit_y = (sum over all layers of f_i + sum over the head's layers of g_{i,y}) / s_0^2
//   Eq. 18: F-hat = sum of f_i + sum over heads of s_0^2 log sum_y exp(sum_i g_{i,y} / s_0^2)
// g = 0 is the unlabelled prior, but for a constant.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hebm::prior {

struct LabelHead {
  std::string name;
  std::vector<std::string> categories;  // y = 0, 1, ...
  std::vector<std::int64_t> layers;     // ascending; i = 0 is the top layer
  bool operator==(const LabelHead&) const = default;
};
using LabelHeads = std::vector<LabelHead>;

// Error(kUsage): none, outside 0 .. num_layers - 1, or twice. `whose`: " of 'NAME'", or nobody's.
void check_layers(const std::vector<std::int64_t>& layers, std::int64_t num_layers, const std::string& whose = "");
// Error(kUsage) naming what is wrong: no category, a name twice, no layers, or wrong ones.
void check_heads(const LabelHeads& heads, std::int64_t num_layers);
// Numbers that layer i's net gives at t = 0 beside f_i: the categories of its heads, head by head.
std::int64_t label_rows(const LabelHeads& heads, std::size_t layer);
// Error(kUsage) listing the names there are.
std::size_t head_named(const LabelHeads& heads, const std::string& name);
std::int64_t category_named(const LabelHead& head, const std::string& name);

// outputs[i] [B, label_rows(i)], undefined where that is 0 -> by head [B, C] sum over its layers of
// g_{i,y}.
std::vector<at::Tensor> head_values(const LabelHeads& heads, const std::vector<at::Tensor>& outputs);

// g [B, C], s2 = s_0^2; results [B].
at::Tensor marginal_value(const at::Tensor& g, double s2);   // s2 log sum_y exp(g_y / s2): Eq. 18
at::Tensor log_probability(const at::Tensor& g, double s2);  // log p(y | u_0), [B, C]: Eq. 19
// -log p(y | u_0), nats: Eq. 19; category [B] int64.
at::Tensor cross_entropy(const at::Tensor& g, double s2, const at::Tensor& category);
// For a chain: s2 (log p-hat + guidance log p(y | u_0)), so with guidance = 1 (Eq. 20) g_y itself;
// a category of -1 is summed over.
at::Tensor guided_value(const at::Tensor& g, double s2, const at::Tensor& category, double guidance);

// The labels that chains are drawn for.
struct LabelChoice {
  at::Tensor category;    // [B, heads] int64 on the chains' device; -1: any
  double guidance = 1.0;  // factor of log p(y | u_0); the paper's is 1
};

}  // namespace hebm::prior
