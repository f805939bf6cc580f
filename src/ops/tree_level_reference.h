// The reference twin of tree_level.h in plain ATen autograd, any floating dtype.
#pragma once
#include "ops/tree_level.h"

namespace morex::ops::reference {

at::Tensor tree_level(const TreeLevelInput& input, double scale, TreeActivation activation);

}  // namespace morex::ops::reference
