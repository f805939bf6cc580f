// Prompts whose vectors somebody else computed: row i of a file belongs to row i of the data.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "eval/embedder.h"

namespace morex::eval {

// A file of vectors and the JSON Lines file whose rows they belong to.
struct GivenVectors {
  std::filesystem::path vectors, data;
};

class VectorTable : public Embedder {
 public:
  // Vectors [N, D]: .npy, or .safetensors with one such tensor, in any floating type; file and row as in SequenceFacts.
  // Throws Error(kFormat) naming the file: no such tensor, numbers that are not finite, another width than the first
  // file's; Error(kData) naming both files where the data has not N rows.
  explicit VectorTable(const std::vector<GivenVectors>& files);

  const EmbedderIdentity& identity() const override { return identity_; }
  std::string key(const nn::Prompt& prompt) const override;
  // Throws Error(kData) for a prompt that is in none of the files.
  at::Tensor embed(const nn::Prompt& prompt) const override;

 private:
  struct File {
    std::filesystem::path path;
    at::Tensor vectors;  // [N, D]
  };
  std::vector<File> files_;
  EmbedderIdentity identity_;
};

}  // namespace morex::eval
