#include "io/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "io/safetensors_header.h"
#include "io/text_check.h"

namespace morex::io {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit

// Length of the header after its plausibility is checked against the size of the file.
uint64_t header_length(std::span<const std::byte> bytes, const std::string& where) {
  MOREX_CHECK(bytes.size() >= kLengthBytes, ErrorKind::kFormat,
              "[{}] must begin with the 8-byte length of its header, got a file of {} bytes", where, bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  MOREX_CHECK(length <= kMaxHeader, ErrorKind::kFormat, "[{}] the header must be at most {} bytes long, got {}", where,
              kMaxHeader, length);
  MOREX_CHECK(length <= bytes.size() - kLengthBytes, ErrorKind::kFormat,
              "[{}] the header reaches beyond the end of the file: it needs {} bytes, {} are there", where, length,
              bytes.size() - kLengthBytes);
  return length;
}

// Bytes of the tensor by its shape and dtype.
uint64_t byte_size(const HeaderTensor& tensor, const std::string& where) {
  auto size = static_cast<uint64_t>(element_size(tensor.dtype));
  for (const int64_t dimension : tensor.shape)
    MOREX_CHECK(!__builtin_mul_overflow(size, static_cast<uint64_t>(dimension), &size), ErrorKind::kFormat,
                "[{}] tensor {}: the product of its shape overflows 64 bits", where, printable(tensor.name));
  return size;
}

void check_extent(const HeaderTensor& tensor, uint64_t data_size, const std::string& where) {
  const std::string shown = printable(tensor.name);
  MOREX_CHECK(tensor.begin <= tensor.end, ErrorKind::kFormat,
              "[{}] tensor {}: data_offsets must not end before they begin, got [{}, {}]", where, shown, tensor.begin,
              tensor.end);
  const uint64_t size = byte_size(tensor, where);
  MOREX_CHECK(tensor.end - tensor.begin == size, ErrorKind::kFormat,
              "[{}] tensor {}: its shape and dtype {} need {} bytes, but data_offsets span {}", where, shown,
              name(tensor.dtype), size, tensor.end - tensor.begin);
  MOREX_CHECK(
      tensor.end <= data_size, ErrorKind::kFormat,
      "[{}] tensor {}: its data reaches beyond the end of the file: it ends at byte {} of {}. Hint: the file may be "
      "truncated; fetch it again.",
      where, shown, tensor.end, data_size);
}

// The tensors must cover the data part one after another. `tensors` is sorted by offset.
void check_coverage(const std::vector<HeaderTensor>& tensors, uint64_t data_size, const std::string& where) {
  uint64_t covered = 0;
  std::string before = "the start of the data";
  for (const HeaderTensor& tensor : tensors) {
    const std::string shown = printable(tensor.name);
    MOREX_CHECK(tensor.begin >= covered, ErrorKind::kFormat, "[{}] tensor {}: its data overlaps {} (bytes {} to {})",
                where, shown, before, tensor.begin, std::min(covered, tensor.end));
    MOREX_CHECK(tensor.begin == covered, ErrorKind::kFormat,
                "[{}] tensor {}: bytes {} to {} before it belong to no tensor", where, shown, covered, tensor.begin);
    covered = tensor.end;
    before = "tensor " + shown;
  }
  MOREX_CHECK(covered == data_size, ErrorKind::kFormat, "[{}] {} bytes at the end of the file belong to no tensor",
              where, data_size - covered);
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result;
  result.file_ = MappedFile::open(path);
  const std::span<const std::byte> bytes = result.file_->bytes();
  const std::string where = path.string();
  const uint64_t length = header_length(bytes, where);
  const std::span<const std::byte> text = bytes.subspan(kLengthBytes, length);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + length);

  SafetensorsHeader header = parse_safetensors_header({reinterpret_cast<const char*>(text.data()), text.size()}, where);
  for (const HeaderTensor& tensor : header.tensors) check_extent(tensor, data.size(), where);
  std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const HeaderTensor& a, const HeaderTensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_coverage(header.tensors, data.size(), where);

  result.metadata_ = std::move(header.metadata);
  result.tensors_.reserve(header.tensors.size());
  for (HeaderTensor& tensor : header.tensors) {
    result.index_.emplace(tensor.name, result.tensors_.size());
    result.tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                               data.subspan(tensor.begin, tensor.end - tensor.begin), result.file_});
  }
  return result;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& SafetensorsFile::get(std::string_view name) const {
  const StoredTensor* tensor = find(name);
  MOREX_CHECK(tensor != nullptr, ErrorKind::kFormat, "[{}] holds no tensor {}", path().string(), printable(name));
  return *tensor;
}

}  // namespace morex::io
