#include "ops/recompute.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace morex::ops {
namespace {

// Inputs of a graph of its own.
Tensors as_leaves(const Tensors& inputs) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().requires_grad_(input.requires_grad()));
  return leaves;
}

Tensors backward(const BackwardPass& pass, const Computation& again) {
  const at::AutoGradMode enabled(true);
  const Tensors leaves = as_leaves(pass.saved);
  Tensors outputs = again(leaves), reached, grads;
  MOREX_ASSERT(outputs.size() == pass.grads.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!pass.grads[i].defined() || !outputs[i].requires_grad()) continue;
    reached.push_back(std::move(outputs[i]));
    grads.push_back(pass.grads[i]);
  }
  if (!reached.empty()) add_gradients(reached, grads);
  Tensors input_grads;
  for (const at::Tensor& leaf : leaves) input_grads.push_back(leaf.grad());
  return input_grads;
}

}  // namespace

Tensors recompute(const Tensors& inputs, const Computation& first, Computation again) {
  if (!at::GradMode::is_enabled()) return first(inputs);
  // With a graph, so that the outputs are those of `again` to the bit, and tell what depends on a parameter.
  Tensors outputs = first(as_leaves(inputs));
  std::vector<size_t> places;
  Tensors dependent;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad()) continue;
    places.push_back(i);
    dependent.push_back(std::exchange(outputs[i], {}).detach());
  }
  if (places.empty()) return outputs;
  AutogradNode node("recompute", inputs, Reach::kLeaves);
  node.keep_missing();
  dependent = node.record(std::move(dependent), inputs, [places, again = std::move(again)](const BackwardPass& pass) {
    return backward(pass, [&](const Tensors& leaves) {
      Tensors all = again(leaves), chosen;
      for (const size_t place : places) chosen.push_back(std::move(all[place]));
      return chosen;
    });
  });
  for (size_t i = 0; i < places.size(); ++i) outputs[places[i]] = std::move(dependent[i]);
  return outputs;
}

}  // namespace morex::ops
