// The JSON header of a safetensors file, parsed strictly: nothing but what the format defines.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/dtype.h"

namespace morex::io {

struct HeaderTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes of the data part
};

struct SafetensorsHeader {
  std::vector<HeaderTensor> tensors;  // in the header's order
  std::map<std::string, std::string> metadata;
};

// Throws Error(kFormat) with `where` in front: no JSON, no UTF-8, a duplicate name or key, an unknown dtype, a shape or
// an offset that is no non-negative integer. Nesting is bounded by the format itself, so no input can exhaust the
// stack.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& where);

}  // namespace morex::io
