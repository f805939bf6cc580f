#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace morex::io {
namespace {

// The format's own writer stores wide types first; among equals its order is this, from last to first.
int64_t writer_rank(DType dtype) {
  static constexpr DType kAscending[] = {DType::kBool, DType::kU8,   DType::kI8,  DType::kI16, DType::kU16,
                                         DType::kF16,  DType::kBF16, DType::kI32, DType::kU32, DType::kF32,
                                         DType::kF64,  DType::kI64,  DType::kU64};
  return std::find(std::begin(kAscending), std::end(kAscending), dtype) - std::begin(kAscending);
}

void check(const TensorToWrite& tensor) {
  int64_t bytes = element_size(tensor.dtype);
  for (const int64_t dimension : tensor.shape) bytes *= dimension;
  MOREX_ASSERT(std::cmp_equal(bytes, tensor.bytes.size()));
  MOREX_ASSERT(tensor.name != "__metadata__");
}

bool names_are_unique(const std::vector<TensorToWrite>& tensors) {
  std::set<std::string_view> names;
  for (const TensorToWrite& tensor : tensors)
    if (!names.insert(tensor.name).second) return false;
  return true;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return std::pair(-writer_rank(a.dtype), std::string_view(a.name)) <
           std::pair(-writer_rank(b.dtype), std::string_view(b.name));
  });
  for (const TensorToWrite& tensor : tensors) check(tensor);
  MOREX_ASSERT(names_are_unique(tensors));

  // nlohmann's ordered object searches linearly for each insertion, so entries are joined as text.
  uint64_t offset = 0;
  std::string text = metadata.empty() ? "{" : "{\"__metadata__\":" + Json(metadata).dump();
  for (const TensorToWrite& tensor : tensors) {
    if (text.size() > 1) text += ',';
    const uint64_t end = offset + tensor.bytes.size();
    OrderedJson entry = {{"dtype", name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    text += Json(tensor.name).dump() + ':' + entry.dump();
    offset = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');

  const uint64_t length = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const TensorToWrite& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace morex::io
