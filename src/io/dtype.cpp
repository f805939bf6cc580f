#include "io/dtype.h"

#include <array>

#include "base/error.h"

namespace morex::io {
namespace {

struct Entry {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};
constexpr std::array kEntries = {
    Entry{DType::kF64, "F64", 8},   Entry{DType::kF32, "F32", 4}, Entry{DType::kF16, "F16", 2},
    Entry{DType::kBF16, "BF16", 2}, Entry{DType::kI64, "I64", 8}, Entry{DType::kI32, "I32", 4},
    Entry{DType::kI16, "I16", 2},   Entry{DType::kI8, "I8", 1},   Entry{DType::kU64, "U64", 8},
    Entry{DType::kU32, "U32", 4},   Entry{DType::kU16, "U16", 2}, Entry{DType::kU8, "U8", 1},
    Entry{DType::kBool, "BOOL", 1}};

const Entry& entry(DType dtype) {
  for (const Entry& candidate : kEntries)
    if (candidate.dtype == dtype) return candidate;
  MOREX_ASSERT(false && "a dtype without an entry");
}

}  // namespace

int64_t element_size(DType dtype) { return entry(dtype).bytes; }

std::string_view name(DType dtype) { return entry(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Entry& candidate : kEntries)
    if (candidate.name == name) return candidate.dtype;
  return std::nullopt;
}

}  // namespace morex::io
