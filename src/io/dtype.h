// Element types of tensor files, with the names safetensors uses.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace morex::io {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool };

int64_t element_size(DType dtype);   // bytes
std::string_view name(DType dtype);  // "F32"
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace morex::io
