// Activation checkpointing: a computation whose graph is dropped and built again when its gradients are asked for.
#pragma once
#include <functional>

#include "ops/autograd_node.h"

namespace morex::ops {

using Computation = std::function<Tensors(const Tensors&)>;

// What `first` makes of the inputs. The outputs' gradients come from `again`, run in the backward pass: it must compute
// the same tensors, in the same order, from the same inputs, and it must not be changed by having run before. Leaves
// that it reaches besides the inputs (parameters) get their gradients added to .grad, as from a graph that was kept;
// what asks for them by another way than .grad (gradients()) does not see them.
// Where no graph is recorded, or no output depends on anything that requires a gradient: just `first`.
// inputs, outputs: any shapes and dtypes. Saves the inputs. Cost: `again` in every backward pass, and its graph there.
// Throws what they throw; differentiating twice throws Error(kRun).
Tensors recompute(const Tensors& inputs, const Computation& first, Computation again);

}  // namespace morex::ops
