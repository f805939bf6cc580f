// Weights of a GGUF file, under their Hugging Face names and in Hugging Face's layout.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include <array>
#include <cstring>
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

// The integers and scales of Q8_0, which lie interleaved in the file: a float16 scale before its 32 integers.
ops::Int8Blocks stored_blocks(const io::GgufTensor& tensor) {
  constexpr int64_t kScaleBytes = 2, kBytes = kScaleBytes + ops::kInt8Block;
  MOREX_ASSERT(tensor.shape.size() == 2 && tensor.type.block_bytes == kBytes);
  const int64_t count = tensor.shape[1] / ops::kInt8Block;
  const ops::Int8Blocks blocks{at::empty(tensor.shape, at::kChar), at::empty({tensor.shape[0], count}, at::kHalf)};
  auto* const values = static_cast<std::byte*>(blocks.values.mutable_data_ptr());
  auto* const scales = static_cast<std::byte*>(blocks.scales.mutable_data_ptr());
  at::parallel_for(0, blocks.scales.numel(), 8192, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const std::byte* const block = tensor.bytes.data() + b * kBytes;
      std::memcpy(scales + b * kScaleBytes, block, kScaleBytes);
      std::memcpy(values + b * ops::kInt8Block, block + kScaleBytes, ops::kInt8Block);
    }
  });
  return blocks;
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
    const io::GgufTensor& tensor = checked(name, shape);
    const at::Tensor values = in_our_order(name, read(tensor)).to(options_.dtype);
    check_finite(values, where_, tensor.name);
    // A file of which some tensors stay views keeps its pages: those of the others are not needed again.
    if (!plain_type(tensor.type)) file_->file()->release(tensor.bytes);
    return values.to(options_.device);
  }

  ops::Int8Blocks take_int8(const std::string& name, const std::vector<Dim>& shape) override {
    const io::GgufTensor& tensor = checked(name, shape);
    const bool same_blocks = std::string_view(tensor.type.name) == "Q8_0";
    const ops::Int8Blocks blocks = same_blocks ? stored_blocks(tensor) : quantized(read(tensor), where_, tensor.name);
    check_finite(blocks.scales, where_, tensor.name);
    file_->file()->release(tensor.bytes);
    return {in_our_order(name, blocks.values).to(options_.device),
            in_our_order(name, blocks.scales).to(options_.device)};
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
  // The stored tensor of Hugging Face's `name` and of that shape; it counts as taken.
  const io::GgufTensor& checked(const std::string& name, const std::vector<Dim>& shape) {
    const std::string own_name = gguf_name(name);
    const io::GgufTensor* tensor = file_->find(own_name);
    MOREX_CHECK(tensor != nullptr, ErrorKind::kFormat, "[{}] must hold tensor {} of shape {}, it is missing", where_,
                own_name, describe(shape));
    MOREX_CHECK(fits(shape, tensor->shape), ErrorKind::kFormat,
                "[{}] tensor {} must have shape {} as the metadata says, got {}", where_, own_name, describe(shape),
                tensor->shape);
    note_taken(*tensor);
    return *tensor;
  }

  at::Tensor in_our_order(const std::string& name, const at::Tensor& rows) const {
    if (permuted_ && name.find(".self_attn.q_proj.") != std::string::npos) return unpermuted(rows, heads_);
    if (permuted_ && name.find(".self_attn.k_proj.") != std::string::npos) return unpermuted(rows, kv_heads_);
    return rows;
  }

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
