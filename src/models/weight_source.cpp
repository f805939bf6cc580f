#include "models/weight_source.h"

#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

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
  MetaWeights() : WeightSource({at::kFloat, at::kMeta}) {}
  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string&, const std::vector<Dim>& shape) override {
    std::vector<int64_t> sizes;
    for (const Dim& dim : shape) sizes.push_back(dim.size);
    return at::empty(sizes, at::TensorOptions(at::kFloat).device(at::kMeta));
  }
  std::string finish(Warnings&) override { return ""; }
};

}  // namespace

std::unique_ptr<WeightSource> make_meta_weights() { return std::make_unique<MetaWeights>(); }

}  // namespace morex::models
