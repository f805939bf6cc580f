// The reference twins of tree_level.h and tree_scores.h in plain ATen autograd, any floating dtype.
#pragma once
#include "ops/tree_level.h"
#include "ops/tree_scores.h"

namespace morex::ops::reference {

at::Tensor tree_level(const TreeLevelInput& input, double scale, TreeActivation activation);
at::Tensor tree_scores(const TreeScoresInput& input, TreeActivation activation);

}  // namespace morex::ops::reference
