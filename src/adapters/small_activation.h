// The non-linearities inside adapters: of S'MoRE's experts and of gate networks.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "ops/tree_activation.h"

namespace morex::adapters {

struct SmallActivation {
  enum class Kind { kIdentity, kTanh, kRelu, kPrelu };
  Kind kind = Kind::kIdentity;
  double start = 0.25;  // kPrelu: the slope's first value

  bool has_slope() const { return kind == Kind::kPrelu; }
  std::optional<ops::TreeActivation> in_trees() const;  // its name in ops/tree_level.h and ops/tree_scores.h, if any
  // Any shape and dtype; `slope` [1] for kPrelu: max(x, 0) + slope·min(x, 0), whose derivative at 0 is 1 + slope.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& slope) const;
};

// "identity", "tanh", "relu", "prelu" (slope 0.25) or "prelu|0.1". Throws Error(kConfig) naming `where`.
SmallActivation parse_small_activation(const std::string& text, const std::string& where);

}  // namespace morex::adapters
