#include "adapters/gates.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/zeros.h>

#include "base/strings.h"

namespace morex::adapters {

std::string describe(const GateShape& shape) {
  std::vector<std::string> sizes;
  for (const GateLevel& level : shape.levels) sizes.push_back(std::to_string(level.experts));
  const std::string counts = join(sizes, ", ");
  switch (shape.kind) {
    case GateKind::kNone:
      return "no gates";
    case GateKind::kFlat:
      return "one flat vector of gates over " + counts + " experts";
    case GateKind::kPairs:
      return "a matrix of gates over pairs of " + counts + " experts";
    case GateKind::kTree:
      return "a tree of gates over levels of " + counts + " experts";
  }
  return "";
}

int64_t gate_count(const GateShape& shape) {
  switch (shape.kind) {
    case GateKind::kNone:
      return 0;
    case GateKind::kFlat:
      return shape.levels.front().experts;
    case GateKind::kPairs:
      return shape.levels[0].experts * shape.levels[1].experts;
    case GateKind::kTree:
      return shape.levels.back().experts;
  }
  return 0;
}

at::Tensor all_gates(const LevelGates& gates, int64_t experts) {
  if (!gates.ids.defined()) return gates.weights;
  const at::Tensor& w = gates.weights;
  return at::scatter(at::zeros({w.size(0), w.size(1), experts}, w.options().requires_grad(false)), 2, gates.ids, w);
}

}  // namespace morex::adapters
