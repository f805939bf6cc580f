// S'MoRE node by node in plain double loops, straight from the equations: the oracle of the efficient form.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::test {

struct TreeReferenceResult {
  at::Tensor update;                      // [T, d_out]: what is added to the base output
  double balance = 0.0;                   // sum over levels, without coefficient; 0 for dense gates
  std::vector<std::vector<int64_t>> ids;  // per level: chosen experts, token by token in slot order
};

// `recipe`: experts and router as in a recipe, every key given, lists in full. Tensors by checkpoint name, float64.
// x [T, d_in]; mask [T] or undefined; noise [T, …, s] per level, or undefined for evaluation.
TreeReferenceResult tree_reference(const Json& recipe, const std::map<std::string, at::Tensor>& tensors,
                                   const at::Tensor& x, const at::Tensor& mask, const std::vector<at::Tensor>& noise);

}  // namespace morex::test
