// Weights that mean nothing, for models that are only measured.
#include "models/random_models.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/random.h"
#include "models/families.h"
#include "models/weight_source.h"

namespace morex::models {
namespace {

constexpr int64_t kDrawn = int64_t{1} << 18;  // numbers that are drawn; larger tensors repeat them
constexpr double kScale = 0.02;

std::vector<int64_t> sizes_of(const std::vector<Dim>& shape) {
  std::vector<int64_t> sizes;
  for (const Dim& dim : shape) sizes.push_back(dim.size);
  return sizes;
}

class RandomWeights : public WeightSource {
 public:
  explicit RandomWeights(LoadOptions options) : WeightSource(options) {
    drawn_ = at::empty({kDrawn}, at::kDouble);
    fill_normal({0, stream_id("random weights"), 0}, 0,
                {drawn_.mutable_data_ptr<double>(), static_cast<size_t>(kDrawn)});
    drawn_ = drawn_.mul_(kScale).to(options.device, options.dtype);
  }

  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string&, const std::vector<Dim>& shape) override {
    const std::vector<int64_t> sizes = sizes_of(shape);
    at::Tensor& made = made_[sizes];
    if (!made.defined()) made = make(sizes);
    return made;
  }
  ops::Int8Blocks take_int8(const std::string& name, const std::vector<Dim>& shape) override {
    const std::vector<int64_t> sizes = sizes_of(shape);
    ops::Int8Blocks& blocks = blocks_[sizes];
    if (!blocks.values.defined()) blocks = ops::quantize_int8(take(name, shape));
    return blocks;
  }
  std::string finish(Warnings&) override { return ""; }

 private:
  at::Tensor make(const std::vector<int64_t>& sizes) const {
    if (sizes.size() == 1) return at::ones(sizes, drawn_.options());  // norms
    const at::Tensor made = at::empty(sizes, drawn_.options()), flat = made.view({-1});
    for (int64_t i = 0; i < flat.numel(); i += kDrawn) {
      const int64_t count = std::min(kDrawn, flat.numel() - i);
      flat.narrow(0, i, count).copy_(drawn_.narrow(0, 0, count));
    }
    return made;
  }

  at::Tensor drawn_;  // [kDrawn]
  std::map<std::vector<int64_t>, at::Tensor> made_;
  std::map<std::vector<int64_t>, ops::Int8Blocks> blocks_;
};

}  // namespace

RandomModels::RandomModels(ModelConfig config, const LoadOptions& options)
    : config_(std::move(config)), weights_(std::make_unique<RandomWeights>(options)) {}

RandomModels::~RandomModels() = default;

std::unique_ptr<CausalLm> RandomModels::make(int64_t layers) {
  ModelConfig config = config_;
  config.num_hidden_layers = layers;
  return family_of_model_type(config.model_type, "model").build(config, *weights_);
}

}  // namespace morex::models
