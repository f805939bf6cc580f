// From files to a model.
#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "base/system.h"
#include "io/gguf.h"
#include "models/causal_lm.h"
#include "models/families.h"
#include "models/weight_source.h"

namespace morex::models {
namespace fs = std::filesystem;
namespace {

bool is_gguf(const fs::path& path) {
  MOREX_CHECK(fs::exists(path), ErrorKind::kFormat, "[{}] must be a Hugging Face folder or a .gguf file, it is missing",
              path.string());
  if (fs::is_directory(path)) return false;
  MOREX_CHECK(path.extension() == ".gguf", ErrorKind::kFormat,
              "[{}] must be a Hugging Face folder or a .gguf file, got another file", path.string());
  return true;
}

}  // namespace

nn::KvCache CausalLm::make_cache(int64_t batch, int64_t capacity) const {
  return nn::KvCache(config_.num_hidden_layers, batch, config_.num_key_value_heads, config_.head_dim, capacity,
                     at::TensorOptions(dtype_).device(device_));
}

ModelConfig load_model_config(const fs::path& path, Warnings& warnings) {
  if (is_gguf(path)) return read_gguf_config(*io::GgufFile::open(path), warnings);
  return read_model_config(path / "config.json", warnings);
}

std::unique_ptr<CausalLm> load_model(const fs::path& path, const LoadOptions& options, Warnings& warnings) {
  MOREX_CHECK(options.dtype == at::kFloat || options.dtype == at::kBFloat16 || options.dtype == at::kDouble,
              ErrorKind::kConfig, "[{}] dtype must be float32, bfloat16 or float64, got {}", path.string(),
              at::toString(options.dtype));
  MOREX_CHECK(!options.load_in_8bit || options.dtype != at::kDouble, ErrorKind::kConfig,
              "[{}] load_in_8bit goes with dtype float32 or bfloat16, got float64", path.string());
  ModelConfig config;
  std::unique_ptr<WeightSource> weights;
  if (is_gguf(path)) {
    const auto file = io::GgufFile::open(path);
    config = read_gguf_config(*file, warnings);
    weights = open_gguf_weights(file, config, options);
  } else {
    config = read_model_config(path / "config.json", warnings);
    weights = open_hf_weights(path, options);
  }
  std::unique_ptr<CausalLm> model = family_of_model_type(config.model_type, path.string()).build(config, *weights);
  model->digest_ = weights->finish(warnings);
  weights.reset();
  return_freed_memory();  // of what has been read
  return model;
}

std::unique_ptr<CausalLm> make_meta_model(const ModelConfig& config, bool load_in_8bit) {
  const auto weights = make_meta_weights(load_in_8bit);
  return family_of_model_type(config.model_type, "model").build(config, *weights);
}

}  // namespace morex::models
