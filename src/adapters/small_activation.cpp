#include "adapters/small_activation.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {

std::optional<ops::TreeActivation> SmallActivation::in_trees() const {
  switch (kind) {
    case Kind::kIdentity:
      return ops::TreeActivation::kIdentity;
    case Kind::kTanh:
      return ops::TreeActivation::kTanh;
    case Kind::kRelu:
      return ops::TreeActivation::kRelu;
    case Kind::kPrelu:
      return {};
  }
  MOREX_ASSERT(false);
}

at::Tensor SmallActivation::operator()(const at::Tensor& x, const at::Tensor& slope) const {
  switch (kind) {
    case Kind::kIdentity:
      return x;
    case Kind::kTanh:
      return at::tanh(x);
    case Kind::kRelu:
      return at::relu(x);
    case Kind::kPrelu:
      return at::clamp_min(x, 0) + slope * at::clamp_max(x, 0);
  }
  return x;
}

SmallActivation parse_small_activation(const std::string& text, const std::string& where) {
  using Kind = SmallActivation::Kind;
  if (text == "identity") return {Kind::kIdentity};
  if (text == "tanh") return {Kind::kTanh};
  if (text == "relu") return {Kind::kRelu};
  if (text == "prelu") return {Kind::kPrelu};
  if (text.starts_with("prelu|")) {
    const std::string number = text.substr(6);
    char* end = nullptr;
    const double start = std::strtod(number.c_str(), &end);
    MOREX_CHECK(!number.empty() && *end == '\0' && std::isfinite(start), ErrorKind::kConfig,
                "[{}] the slope in '{}' must be a number", where, text);
    return {Kind::kPrelu, start};
  }
  fail(ErrorKind::kConfig, "[{}] must be identity, tanh, relu, prelu or prelu|SLOPE, got '{}'.{}", where, text,
       did_you_mean(text, {"identity", "tanh", "relu", "prelu"}));
}

}  // namespace morex::adapters
