#include "io/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"

namespace morex::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kFixed = 8;  // magic, two bytes of version

// The value behind 'key': in the header's dictionary, up to the comma or bracket that ends it.
std::string_view value_of(std::string_view header, std::string_view key, std::string_view ends) {
  const size_t at = header.find("'" + std::string(key) + "':");
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size() + 3);
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header.substr(0, header.find_first_of(ends));
}

std::optional<DType> type_of(std::string_view text) {
  if (text == "'<f4'") return DType::kF32;
  if (text == "'<f8'") return DType::kF64;
  if (text == "'<f2'") return DType::kF16;
  return std::nullopt;
}

// "(3, 4" -> {3, 4}; nothing for anything else.
std::optional<std::vector<int64_t>> shape_of(std::string_view text) {
  if (!text.starts_with('(')) return std::nullopt;
  text.remove_prefix(1);
  std::vector<int64_t> shape;
  while (!text.empty()) {
    if (text.front() == ' ' || text.front() == ',') {
      text.remove_prefix(1);
      continue;
    }
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0) return std::nullopt;
    shape.push_back(size);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return shape;
}

}  // namespace

StoredTensor read_npy(const std::filesystem::path& path) {
  StoredTensor tensor;
  tensor.name = path.filename().string();
  tensor.file = MappedFile::open(path);
  const std::span<const std::byte> bytes = tensor.file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto check = [&](bool holds, const char* what) {
    MOREX_CHECK(holds, ErrorKind::kFormat, "[{}] must be a .npy file, but {}", path.string(), what);
  };
  check(text.size() > kFixed && text.starts_with(kMagic), "it does not begin with its mark");
  const size_t length_bytes = text[kMagic.size()] == 1 ? 2 : 4;
  check(text[kMagic.size()] >= 1 && text[kMagic.size()] <= 3 && text.size() >= kFixed + length_bytes,
        "its version is not 1, 2 or 3");
  uint32_t header_size = 0;
  std::memcpy(&header_size, text.data() + kFixed, length_bytes);
  check(header_size <= text.size() - kFixed - length_bytes, "it ends inside its header");
  const std::string_view header = text.substr(kFixed + length_bytes, header_size);

  const auto type = type_of(value_of(header, "descr", ",}"));
  check(type.has_value(), "it does not hold little-endian float16, float32 or float64 numbers");
  check(value_of(header, "fortran_order", ",}") == "False", "it is not in C order");
  const auto shape = shape_of(value_of(header, "shape", ")"));
  check(shape.has_value(), "its header gives no shape");
  tensor.dtype = *type;
  tensor.shape = *shape;
  tensor.bytes = bytes.subspan(kFixed + length_bytes + header_size);
  const auto size = static_cast<int64_t>(tensor.bytes.size());
  int64_t left = size / element_size(*type);  // divided down: a product of sizes could overflow
  bool fits = size % element_size(*type) == 0;
  const bool empty = std::find(shape->begin(), shape->end(), 0) != shape->end();
  for (size_t i = 0; !empty && i < shape->size(); ++i) {
    fits = fits && left % (*shape)[i] == 0;
    left /= (*shape)[i];
  }
  check(fits && (empty ? size == 0 : left == 1), "it does not hold as many numbers as its shape says");
  return tensor;
}

}  // namespace morex::io
