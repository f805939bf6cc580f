#include "models/weight_source.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "models/finite_check.h"

namespace morex::models {

std::string describe(const std::vector<Dim>& shape) {
  std::vector<int64_t> sizes;
  std::vector<std::string> settings;
  for (const Dim& dim : shape) {
    sizes.push_back(dim.size);
    settings.emplace_back(dim.setting);
  }
  return fmt::format("{} ({})", sizes, fmt::join(settings, " × "));
}

bool fits(const std::vector<Dim>& shape, const std::vector<int64_t>& sizes) {
  return std::equal(shape.begin(), shape.end(), sizes.begin(), sizes.end(),
                    [](const Dim& dim, int64_t size) { return dim.size == size; });
}

namespace {

class MetaWeights : public WeightSource {
 public:
  explicit MetaWeights(bool load_in_8bit) : WeightSource({at::kFloat, at::kMeta, load_in_8bit}) {}
  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string&, const std::vector<Dim>& shape) override {
    std::vector<int64_t> sizes;
    for (const Dim& dim : shape) sizes.push_back(dim.size);
    return at::empty(sizes, at::TensorOptions(at::kFloat).device(at::kMeta));
  }
  ops::Int8Blocks take_int8(const std::string&, const std::vector<Dim>& shape) override {
    const at::TensorOptions meta = at::TensorOptions(at::kChar).device(at::kMeta);
    const int64_t rows = shape.at(0).size, width = shape.at(1).size;
    return {at::empty({rows, width}, meta),
            at::empty({rows, (width + ops::kInt8Block - 1) / ops::kInt8Block}, meta.dtype(at::kHalf))};
  }
  std::string finish(Warnings&) override { return ""; }
};

}  // namespace

std::unique_ptr<WeightSource> make_meta_weights(bool load_in_8bit) {
  return std::make_unique<MetaWeights>(load_in_8bit);
}

ops::Int8Blocks quantized(const at::Tensor& values, const std::string& file, const std::string& name) {
  check_finite(values, file, name);
  ops::Int8Blocks blocks = ops::quantize_int8(values);
  MOREX_CHECK(at::isfinite(blocks.scales).all().item<bool>(), ErrorKind::kFormat,
              "[{}] {} must stay below 8.3e6 to be held in 8 bits, got a larger number. Hint: load_in_8bit: false",
              file, name);
  return blocks;
}

}  // namespace morex::models
