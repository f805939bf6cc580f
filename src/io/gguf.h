// Reading GGUF files, version 2 and 3.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/mapped_file.h"

namespace morex::io {

// The format's tensor types by their number; only those with `dequantizable` true can be turned into numbers.
struct GgmlType {
  uint32_t number;
  const char* name;  // "Q4_1"
  int64_t block;     // elements of a block
  int64_t block_bytes;
  bool dequantizable;
};
const GgmlType* ggml_type(uint32_t number);  // null when unknown

struct GgufTensor {
  std::string name;
  GgmlType type;
  std::vector<int64_t> shape;  // row-major: the file's dimensions reversed
  std::span<const std::byte> bytes;
};

struct GgufArray;
using GgufValue =
    std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string,
                 std::shared_ptr<GgufArray>, uint64_t, int64_t, double>;  // index = the format's type number
struct GgufArray {
  uint32_t element_type = 0;
  std::vector<GgufValue> values;
};

class GgufFile {
 public:
  // Maps and checks the whole file. Throws Error(kFormat) naming the file and what is wrong.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view name) const;
  std::shared_ptr<const MappedFile> file() const { return file_; }

  // Typed metadata. get_*: Error(kFormat) when absent or of another kind (any integer type counts as integer).
  bool has(std::string_view key) const;
  std::string get_string(std::string_view key) const;
  int64_t get_int(std::string_view key) const;
  double get_float(std::string_view key) const;
  bool get_bool_or(std::string_view key, bool fallback) const;
  int64_t get_int_or(std::string_view key, int64_t fallback) const;
  double get_float_or(std::string_view key, double fallback) const;
  std::vector<std::string> get_strings(std::string_view key) const;
  std::vector<int64_t> get_ints(std::string_view key) const;
  std::vector<double> get_floats(std::string_view key) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Blocks to float32 as the reference does: scale products and sums rounded one by one. F32, F16, BF16, Q4_0, Q4_1,
// Q5_0, Q5_1, Q8_0; another type throws Error(kFormat) with its name. out.size() is the number of elements.
void dequantize(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> out, const std::string& where);

}  // namespace morex::io
