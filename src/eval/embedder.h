// Prompts as vectors, wherever these come from.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "nn/prompt_reader.h"

namespace morex::eval {

// What a file of centroids says of where its vectors come from.
struct EmbedderIdentity {
  std::string kind;    // base, encoder or vectors
  std::string digest;  // of what decides the vectors: base and encoder the model, vectors the file
  std::string path;    // encoder: the folder it was in; else ""
  int64_t width = 0;
};

class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const EmbedderIdentity& identity() const = 0;
  // Equal for prompts that have the same vector.
  virtual std::string key(const nn::Prompt& prompt) const = 0;
  // [D] float64 on the CPU, of length 1; a function of the prompt alone. No gradients.
  virtual at::Tensor embed(const nn::Prompt& prompt) const = 0;
};

// x / |x| along the last dimension; 0 where |x| is 0.
at::Tensor unit_length(const at::Tensor& x);

}  // namespace morex::eval
