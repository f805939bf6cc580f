// Weights of a Hugging Face folder.
#include <ATen/core/Tensor.h>
#include <fmt/ranges.h>

#include <cstring>
#include <set>

#include "base/error.h"
#include "io/safetensors.h"
#include "models/finite_check.h"
#include "models/weight_digest.h"
#include "models/weight_source.h"
#include "nn/tensor_file.h"

namespace morex::models {
namespace fs = std::filesystem;
namespace {

// safetensors only: a pickle runs code when it is opened.
void refuse_pickle(const fs::path& folder) {
  if (fs::exists(folder / "model.safetensors") || fs::exists(folder / "model.safetensors.index.json")) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    MOREX_CHECK(extension != ".bin" && extension != ".pt" && extension != ".pth" && extension != ".ckpt",
                ErrorKind::kFormat,
                "[{}] weights must be safetensors, got a pickle file, which is not opened because it can run code. "
                "Hint: save the model again with safe_serialization=True",
                entry.path().string());
  }
}

bool is_float(io::DType dtype) {
  return dtype == io::DType::kF64 || dtype == io::DType::kF32 || dtype == io::DType::kF16 || dtype == io::DType::kBF16;
}

class HfWeights : public WeightSource {
 public:
  HfWeights(const fs::path& folder, const LoadOptions& options)
      : WeightSource(options), tensors_(io::SafetensorsFolder::open(folder)) {
    const bool single = tensors_.files().size() == 1;
    where_ = (single ? tensors_.files().front().path() : folder / "model.safetensors.index.json").string();
  }

  bool has(const std::string& name) const override { return tensors_.find(name) != nullptr; }

  at::Tensor take(const std::string& name, const std::vector<Dim>& shape) override {
    const io::StoredTensor& stored = checked(name, shape);
    const at::Tensor values = nn::tensor_view(stored).to(options_.dtype);  // the view itself where the types agree
    check_finite(values, stored.file->path().string(), name);
    const bool copied = values.const_data_ptr() != static_cast<const void*>(stored.bytes.data());
    if (copied) stored.file->release(stored.bytes);
    return values.to(options_.device);
  }

  ops::Int8Blocks take_int8(const std::string& name, const std::vector<Dim>& shape) override {
    const io::StoredTensor& stored = checked(name, shape);
    const ops::Int8Blocks blocks = quantized(nn::tensor_view(stored), stored.file->path().string(), name);
    stored.file->release(stored.bytes);
    return {blocks.values.to(options_.device), blocks.scales.to(options_.device)};
  }

  void leave(const std::string& name) override { taken_.insert(name); }
  void expect_tied(const std::string& name, const std::string& twin) override { tied_[name] = twin; }

  std::string finish(Warnings& warnings) override {
    std::vector<std::string> unknown;
    for (const std::string& name : tensors_.names()) {
      if (taken_.count(name) > 0 || name.ends_with("rotary_emb.inv_freq")) continue;  // old files keep that buffer
      const auto tied = tied_.find(name);
      if (tied == tied_.end()) {
        unknown.push_back(name);
      } else if (!same_values(*tensors_.find(name), *tensors_.find(tied->second))) {
        warnings.add("weights.tied", fmt::format("[{}] {} differs from {}, to which tie_word_embeddings ties it, and "
                                                 "is ignored",
                                                 tensors_.find(name)->file->path().string(), name, tied->second));
      }
    }
    if (!unknown.empty()) {
      constexpr size_t kShown = 5;
      const size_t shown = std::min(unknown.size(), kShown);
      warnings.add("weights.unknown",
                   fmt::format("[{}] {} tensors are not part of the architecture and are ignored: {}{}",
                               tensors_.find(unknown.front())->file->path().string(), unknown.size(),
                               fmt::join(unknown.begin(), unknown.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                               unknown.size() > kShown ? ", …" : ""));
    }
    return digest_.hex();
  }

 private:
  // The stored tensor of that name, of a floating type and of that shape; it counts as taken.
  const io::StoredTensor& checked(const std::string& name, const std::vector<Dim>& shape) {
    const io::StoredTensor* stored = tensors_.find(name);
    MOREX_CHECK(stored != nullptr, ErrorKind::kFormat, "[{}] must hold tensor {} of shape {}, it is missing", where_,
                name, describe(shape));
    const std::string file = stored->file->path().string();
    MOREX_CHECK(is_float(stored->dtype), ErrorKind::kFormat, "[{}] {} must be F64, F32, F16 or BF16, got {}", file,
                name, io::name(stored->dtype));
    MOREX_CHECK(fits(shape, stored->shape), ErrorKind::kFormat,
                "[{}] {} must have shape {} as config.json says, got {}", file, name, describe(shape), stored->shape);
    digest_.add(name, io::name(stored->dtype), stored->shape, stored->bytes);
    taken_.insert(name);
    return *stored;
  }

  static bool same_values(const io::StoredTensor& a, const io::StoredTensor& b) {
    return a.dtype == b.dtype && a.shape == b.shape && std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  }

  io::SafetensorsFolder tensors_;
  std::string where_;
  WeightDigest digest_;
  std::set<std::string> taken_;
  std::map<std::string, std::string> tied_;
};

}  // namespace

std::unique_ptr<WeightSource> open_hf_weights(const fs::path& folder, const LoadOptions& options) {
  refuse_pickle(folder);
  return std::make_unique<HfWeights>(folder, options);
}

}  // namespace morex::models
