// Reading and writing safetensors files: an 8-byte header length, a JSON header, then the tensors' bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "io/dtype.h"

namespace morex::io {

// One tensor of an open file. `bytes` points into the map, which `file` keeps alive; a file whose header is not padded
// leaves them unaligned.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const MappedFile> file;
};

class SafetensorsFile {
 public:
  // Maps the file and checks the whole header: sizes, overflow, overlap, holes, duplicate names, unknown types.
  // Throws Error(kFormat) naming the file and the tensor.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // in file order
  const StoredTensor* find(std::string_view name) const;                 // null when absent
  const StoredTensor& get(std::string_view name) const;                  // Error(kFormat) when absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

// The tensors of a Hugging Face folder: model.safetensors, or the shards its model.safetensors.index.json names.
class SafetensorsFolder {
 public:
  // Throws Error(kFormat): nothing there, a shard missing, a tensor in two shards or not where the index says.
  static SafetensorsFolder open(const std::filesystem::path& folder);
  SafetensorsFolder(SafetensorsFolder&&) = default;  // the index points into files_, so there are no copies
  SafetensorsFolder& operator=(SafetensorsFolder&&) = default;
  const StoredTensor* find(std::string_view name) const;
  std::vector<std::string> names() const;  // sorted
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  SafetensorsFolder() = default;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const StoredTensor*, std::less<>> index_;
};

// A tensor to write; `bytes` must stay valid until write_safetensors returns. Contiguous, row-major, little-endian.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

// Writes atomically, tensors sorted as the format's own writer sorts them (wide types first, then by name), the data
// aligned to 8 bytes. Throws Error(kRun) when the disk refuses.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace morex::io
