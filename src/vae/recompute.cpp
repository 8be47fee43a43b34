#include "vae/recompute.h"
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <memory>
#include <utility>
#include "nets/passes.h"

namespace hebm::vae {
namespace {

struct RecomputeNode : torch::autograd::Node {
  RunAgain run;
  std::vector<torch::autograd::SavedVariable> inputs;

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    nets::check_reverse(inputs.empty(), "recomputation", "piece");
    const c10::AutoGradMode grad_on(true);
    std::vector<at::Tensor> leaves;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      leaves.push_back(inputs[i].unpack().detach().requires_grad_(next_edge(i).is_valid()));
    release_variables();
    {
      torch::autograd::variable_list ends, of_ends, outputs = run(leaves);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
        ends.push_back(std::move(outputs[i]));
        of_ends.push_back(std::move(gradients[i]));
      }
      outputs.clear();
      torch::autograd::backward(ends, of_ends);
    }
    torch::autograd::variable_list out;
    for (const at::Tensor& leaf : leaves) out.push_back(leaf.grad());
    return out;
  }
  void release_variables() override { inputs.clear(); }
};

}  // namespace

std::vector<at::Tensor> recomputed(const RunAgain& run, const std::vector<at::Tensor>& inputs) {
  if (!c10::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) return run(inputs);
  std::vector<at::Tensor> outputs;
  {
    const c10::NoGradGuard no_grad;
    for (const at::Tensor& output : run(inputs)) outputs.push_back(output.detach());
  }
  const std::shared_ptr<RecomputeNode> node(new RecomputeNode, torch::autograd::deleteNode);
  node->run = run;
  for (const at::Tensor& input : inputs) node->inputs.emplace_back(input, /*is_output=*/false);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(outputs, node);
  return outputs;
}

}  // namespace hebm::vae
