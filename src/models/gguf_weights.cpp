// Weights of a GGUF file, under their Hugging Face names and in Hugging Face's layout.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "models/families.h"
#include "models/finite_check.h"
#include "models/gguf_names.h"
#include "models/weight_digest.h"
#include "models/weight_source.h"
#include "nn/tensor_file.h"

namespace morex::models {
namespace {

std::optional<io::DType> plain_type(const io::GgmlType& type) {
  for (const io::DType dtype : {io::DType::kF32, io::DType::kF16, io::DType::kBF16}) {
    if (io::name(dtype) == type.name) return dtype;
  }
  return std::nullopt;
}

// Any type to float32, in parallel over ranges of whole blocks.
at::Tensor dequantized(const io::GgufTensor& tensor, const std::string& where) {
  at::Tensor out = at::empty(tensor.shape, at::kFloat);
  const std::span<float> values(out.mutable_data_ptr<float>(), static_cast<size_t>(out.numel()));
  const auto block = static_cast<size_t>(tensor.type.block), bytes = static_cast<size_t>(tensor.type.block_bytes);
  at::parallel_for(0, out.numel() / tensor.type.block, 8192, [&](int64_t begin, int64_t end) {
    const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    io::dequantize(tensor.type, tensor.bytes.subspan(first * bytes, count * bytes),
                   values.subspan(first * block, count * block), where);
  });
  return out;
}

class GgufWeights : public WeightSource {
 public:
  GgufWeights(std::shared_ptr<const io::GgufFile> file, const ModelConfig& config, const LoadOptions& options)
      : WeightSource(options),
        file_(std::move(file)),
        where_(file_->path().string()),
        permuted_(family_of_model_type(config.model_type, where_).gguf_permutes_qk),
        heads_(config.num_attention_heads),
        kv_heads_(config.num_key_value_heads) {
    if (const io::GgufTensor* divisors = file_->find(kGgufRopeDivisors)) note_taken(*divisors);
  }

  bool has(const std::string& name) const override { return file_->find(gguf_name(name)) != nullptr; }

  at::Tensor take(const std::string& name, const std::vector<Dim>& shape) override {
    const std::string own_name = gguf_name(name);
    const io::GgufTensor* tensor = file_->find(own_name);
    MOREX_CHECK(tensor != nullptr, ErrorKind::kFormat, "[{}] must hold tensor {} of shape {}, it is missing", where_,
                own_name, describe(shape));
    MOREX_CHECK(fits(shape, tensor->shape), ErrorKind::kFormat,
                "[{}] tensor {} must have shape {} as the metadata says, got {}", where_, own_name, describe(shape),
                tensor->shape);
    at::Tensor values = read(*tensor);
    if (permuted_ && name.find(".self_attn.q_proj.") != std::string::npos) values = unpermuted(values, heads_);
    if (permuted_ && name.find(".self_attn.k_proj.") != std::string::npos) values = unpermuted(values, kv_heads_);
    values = values.to(options_.dtype);
    check_finite(values, where_, own_name);
    note_taken(*tensor);
    return values.to(options_.device);
  }

  std::string finish(Warnings& warnings) override {
    for (const io::GgufTensor& tensor : file_->tensors()) {
      if (taken_.count(tensor.name) > 0) continue;
      warnings.add("weights.unknown",
                   fmt::format("[{}] tensor {} is not part of the architecture and is ignored", where_, tensor.name));
    }
    return digest_.hex();
  }

 private:
  // The stored numbers: a view of the file where they are plain, else float32.
  at::Tensor read(const io::GgufTensor& tensor) const {
    if (const std::optional<io::DType> dtype = plain_type(tensor.type)) {
      return nn::tensor_view({tensor.name, *dtype, tensor.shape, tensor.bytes, file_->file()});
    }
    MOREX_CHECK(tensor.type.dequantizable, ErrorKind::kFormat,
                "[{}] tensor {} has type {}, which is not supported. Hint: use F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1 "
                "or Q8_0",
                where_, tensor.name, tensor.type.name);
    return dequantized(tensor, where_);
  }

  // Rows of a head are stored as pairs (2i, 2i+1) of what Hugging Face keeps as halves (i, i + d/2).
  static at::Tensor unpermuted(const at::Tensor& rows, int64_t heads) {
    const int64_t half = rows.size(0) / heads / 2;
    return rows.reshape({heads, half, 2, -1}).transpose(1, 2).reshape(rows.sizes());
  }

  void note_taken(const io::GgufTensor& tensor) {
    digest_.add(tensor.name, tensor.type.name, tensor.shape, tensor.bytes);
    taken_.insert(tensor.name);
  }

  std::shared_ptr<const io::GgufFile> file_;
  std::string where_;
  bool permuted_;
  int64_t heads_, kv_heads_;
  WeightDigest digest_;
  std::set<std::string> taken_;
};

}  // namespace

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const io::GgufFile> file, const ModelConfig& config,
                                                const LoadOptions& options) {
  return std::make_unique<GgufWeights>(std::move(file), config, options);
}

}  // namespace morex::models
