#include "eval/vector_table.h"

#include <ATen/ops/isfinite.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/strings.h"
#include "io/jsonl.h"
#include "io/npy.h"
#include "nn/tensor_file.h"

namespace morex::eval {
namespace {

namespace fs = std::filesystem;

io::StoredTensor open_vectors(const fs::path& path) {
  if (path.extension() == ".npy") return io::read_npy(path);
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  MOREX_CHECK(file.tensors().size() == 1, ErrorKind::kFormat,
              "[{}] must hold one tensor, the vectors of the rows, got {}", path.string(), file.tensors().size());
  return file.tensors().front();
}

at::Tensor read_vectors(const fs::path& path) {
  const io::StoredTensor stored = open_vectors(path);
  MOREX_CHECK(at::isFloatingType(nn::scalar_type(stored.dtype)) && stored.shape.size() == 2, ErrorKind::kFormat,
              "[{}] vectors must be floating-point numbers of shape [rows, width], got {} of shape {}", path.string(),
              io::name(stored.dtype), Json(stored.shape).dump());
  const at::Tensor vectors = nn::tensor_copy(stored, at::kFloat);
  MOREX_CHECK(at::isfinite(vectors).all().item<bool>(), ErrorKind::kFormat, "[{}] vectors must hold finite numbers",
              path.string());
  return vectors;
}

void check_rows(const at::Tensor& vectors, const GivenVectors& given) {
  io::JsonlReader reader(given.data);
  int64_t rows = 0;
  for (Json row; reader.next(row);) ++rows;
  MOREX_CHECK(rows == vectors.size(0), ErrorKind::kData,
              "[{}] there must be a vector for each of the {} rows of {}, got {}", given.vectors.string(), rows,
              given.data.string(), vectors.size(0));
}

}  // namespace

VectorTable::VectorTable(const std::vector<GivenVectors>& files) {
  std::vector<std::string> digests;
  for (const GivenVectors& given : files) {
    const fs::path& path = given.vectors;
    files_.push_back({path, read_vectors(path)});
    digests.push_back(sha256_hex_of_file(path));
    const int64_t width = files_.front().vectors.size(1), own = files_.back().vectors.size(1);
    MOREX_CHECK(own == width, ErrorKind::kFormat, "[{}] vectors must be as wide as those of {}, {}, got {}",
                path.string(), files_.front().path.string(), width, own);
    check_rows(files_.back().vectors, given);
  }
  MOREX_ASSERT(!files_.empty());
  identity_ = {"vectors", join(digests, " "), "", files_.front().vectors.size(1)};
}

std::string VectorTable::key(const nn::Prompt& prompt) const {
  return fmt::format("{} {}", prompt.facts.file, prompt.facts.row);
}

at::Tensor VectorTable::embed(const nn::Prompt& prompt) const {
  const SequenceFacts& facts = prompt.facts;
  const bool there = facts.row >= 0 && facts.file < static_cast<int64_t>(files_.size()) &&
                     facts.row < files_[static_cast<size_t>(facts.file)].vectors.size(0);
  MOREX_CHECK(there, ErrorKind::kData,
              "[{}] the prompt must be a row of the data that these vectors belong to, it is not. Hint: name the "
              "vectors of its file, or the encoder that makes them",
              files_.front().path.string());
  return unit_length(files_[static_cast<size_t>(facts.file)].vectors[facts.row].to(at::kDouble));
}

}  // namespace morex::eval
