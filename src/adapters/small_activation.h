// The non-linearities inside adapters: of S'MoRE's experts and of gate networks.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace morex::adapters {

struct SmallActivation {
  enum class Kind { kIdentity, kTanh, kRelu, kPrelu };
  Kind kind = Kind::kIdentity;
  double start = 0.25;  // kPrelu: the slope's first value

  bool has_slope() const { return kind == Kind::kPrelu; }
  // Any shape and dtype; `slope` [1] for kPrelu: max(x, 0) + slope·min(x, 0), whose derivative at 0 is 1 + slope.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& slope) const;
};

// "identity", "tanh", "relu", "prelu" (slope 0.25) or "prelu|0.1". Throws Error(kConfig) naming `where`.
SmallActivation parse_small_activation(const std::string& text, const std::string& where);

}  // namespace morex::adapters
