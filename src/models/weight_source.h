// Where a family gets its weights from: a Hugging Face folder, a GGUF file, or nowhere (shapes only).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "models/causal_lm.h"
#include "ops/int8_blocks.h"

namespace morex::io {
class GgufFile;
}

namespace morex::models {

// One dimension of an expected shape, with the settings it comes from: for the message when it does not fit.
struct Dim {
  int64_t size;
  const char* setting;  // "vocab_size"
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual bool has(const std::string& name) const = 0;
  // The weight with Hugging Face's name, of exactly that shape, in the load's dtype and on its device: a view of the
  // mapped file where the dtype is the stored one, else a copy. Throws Error(kFormat) naming the file and the tensor:
  // missing, another shape, no floating type, a NaN or an infinity.
  virtual at::Tensor take(const std::string& name, const std::vector<Dim>& shape) = 0;
  // The matrix of that name in blocks of eight bits, on the load's device; checked as by take().
  virtual ops::Int8Blocks take_int8(const std::string& name, const std::vector<Dim>& shape) = 0;
  // The model uses `twin` in place of `name`: a stored tensor of that name that differs is a warning.
  virtual void expect_tied(const std::string& /*name*/, const std::string& /*twin*/) {}
  // A stored tensor of that name is known and not needed.
  virtual void leave(const std::string& /*name*/) {}
  // After the family took all it needs: warns of tensors nobody asked for and returns the digest of those taken
  // (weight_digest.h).
  virtual std::string finish(Warnings& warnings) = 0;

  const LoadOptions& options() const { return options_; }

 protected:
  explicit WeightSource(LoadOptions options) : options_(options) {}
  LoadOptions options_;
};

std::unique_ptr<WeightSource> open_hf_weights(const std::filesystem::path& folder, const LoadOptions& options);
std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const io::GgufFile> file, const ModelConfig& config,
                                                const LoadOptions& options);
std::unique_ptr<WeightSource> make_meta_weights(bool load_in_8bit);

// The blocks of a stored matrix. Throws Error(kFormat) naming file and tensor for numbers that have no scale.
ops::Int8Blocks quantized(const at::Tensor& values, const std::string& file, const std::string& name);

// "[12, 8] (intermediate_size × hidden_size)".
std::string describe(const std::vector<Dim>& shape);
bool fits(const std::vector<Dim>& shape, const std::vector<int64_t>& sizes);

}  // namespace morex::models
