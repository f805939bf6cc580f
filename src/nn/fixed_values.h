// What is formed of parameters alone, kept while nobody changes them: a generation reads the same weights for every
// token.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace morex::nn {

class FixedValues {
 public:
  // What make(), which gives tensors, gave at the first call for this owner (an object that outlives this) and number.
  // Not for several threads at once.
  template <typename Make>
  const std::vector<at::Tensor>& of(const void* owner, int64_t number, const Make& make) {
    const std::pair key(owner, number);
    const auto found = values_.find(key);
    return found != values_.end() ? found->second : values_.emplace(key, make()).first->second;
  }

  // A leaf that outlives this, detached, in `type`.
  at::Tensor cast(const at::Tensor& leaf, at::ScalarType type) {
    const auto make = [&] { return std::vector<at::Tensor>{leaf.detach().to(type)}; };
    return of(leaf.unsafeGetTensorImpl(), static_cast<int64_t>(type), make).front();
  }

 private:
  std::map<std::pair<const void*, int64_t>, std::vector<at::Tensor>> values_;
};

}  // namespace morex::nn
