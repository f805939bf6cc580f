#include "adapters/tally_gates.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace morex::adapters {

void append_routed_gates(const GateShape& shape, const std::string& module, int64_t layer,
                         std::vector<nn::RoutedGate>& gates) {
  if (shape.kind == GateKind::kNone) return;
  if (shape.kind == GateKind::kPairs) return gates.push_back({module, layer, 0, gate_count(shape)});
  for (size_t l = 0; l < shape.levels.size(); ++l)
    gates.push_back({module, layer, static_cast<int64_t>(l), shape.levels[l].experts});
}

void tally_gates(const Gates& gates, const Recorder& recorder, const TokenRows& rows, nn::RoutingTally& tally) {
  for (size_t l = 0; l < gates.levels.size(); ++l) {
    const LevelGates& level = gates.levels[l];
    nn::GateRows made;
    if (const auto found = recorder.distributions.find(static_cast<int64_t>(l)); found != recorder.distributions.end())
      made.distribution = found->second;
    if (level.ids.defined()) made.ids = level.ids.flatten(0, 1);  // [T·P, k]
    made.weights = level.weights.detach().flatten(0, 1);          // [T·P, k] or [T·P, E]
    if (level.overflow.defined()) made.weights = made.weights * level.overflow.logical_not().unsqueeze(1);
    const int64_t parents = level.weights.size(1);
    if (rows.mask.defined()) made.mask = parents == 1 ? rows.mask : rows.mask.repeat_interleave(parents);
    tally.add(rows.site.module, static_cast<int64_t>(l), std::move(made));
  }
}

}  // namespace morex::adapters
