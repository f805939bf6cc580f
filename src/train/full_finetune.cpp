#include "train/full_finetune.h"

#include <ATen/core/grad_mode.h>

#include <utility>
#include <vector>

#include "base/files.h"
#include "nn/tensor_file.h"
#include "text/tokenizer_files.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

class FullTrainable final : public Trainable {
 public:
  FullTrainable(models::CausalLm& model, const Runtime& runtime, fs::path tokenizer)
      : config_(model.config().source), tokenizer_(std::move(tokenizer)) {
    for (const models::NamedWeight& weight : model.weights()) {
      nn::LeafOptions options;
      options.decay = weight.slot->dim() > 1;
      const int64_t leaf = store_.declare(weight.name, weight.slot->sizes().vec(), options);
      store_.add_view({weight.name, leaf, [](const at::Tensor& tensor) { return tensor; }});
    }
    store_.allocate(runtime.parameter_dtype(), runtime.device);
    for (size_t i = 0; i < model.weights().size(); ++i) {
      at::Tensor& slot = *model.weights()[i].slot;
      const at::Tensor& leaf = store_.leaf(static_cast<int64_t>(i));
      {
        const at::NoGradGuard no_grad;
        leaf.detach().copy_(slot);
      }
      slot = leaf;
    }
    config_["torch_dtype"] = runtime.parameter_dtype() == at::kDouble ? "float64" : "float32";
    config_.erase("dtype");  // transformers' newer name of the same key
  }

  nn::ParameterStore& parameters() override { return store_; }
  const nn::ParameterStore& parameters() const override { return store_; }
  at::Tensor auxiliary_loss(const nn::RoutingReport&) const override { return {}; }

  void save(const fs::path& folder) const override {
    make_directories(folder);
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const nn::NamedView& view : store_.views()) tensors.emplace_back(view.name, store_.named_value(view));
    nn::save_tensors(parameter_file(folder), tensors, {{"format", "pt"}});
    write_text_file(folder / "config.json", config_.dump(2) + "\n");
    if (!tokenizer_.empty()) text::write_tokenizer_files(tokenizer_, folder);
  }
  fs::path parameter_file(const fs::path& folder) const override { return folder / "model.safetensors"; }

  Json cost() const override {
    const int64_t count = store_.parameter_count();
    return {{"trainable_parameters", count},
            {"active_parameters", count},
            {"bytes", static_cast<int64_t>(count * store_.values().element_size())},
            {"flops_per_token", 0.0},
            {"routing_flops_per_token", 0.0}};
  }
  bool without(const std::function<void()>&) override { return false; }

 private:
  nn::ParameterStore store_;
  Json config_;
  fs::path tokenizer_;  // where it is taken from; empty: nowhere
};

}  // namespace

std::unique_ptr<Trainable> make_full_trainable(const Recipe& recipe, const Runtime& runtime, models::CausalLm& model,
                                               Warnings& warnings) {
  MOREX_CHECK(
      model.config().rope_scaling.frequency_divisors.empty(), ErrorKind::kConfig,
      "[full] the base's rope_freqs.weight has no place in the config.json of the trained model. Hint: take the "
      "base as a Hugging Face folder.");
  fs::path tokenizer =
      recipe.tokenizer_name_or_path.empty() ? recipe.model_name_or_path : recipe.tokenizer_name_or_path;
  const std::string problem = text::why_no_tokenizer_files(tokenizer);
  if (!problem.empty()) {
    warnings.add("no_tokenizer_files", "[full] the trained model is saved without a tokenizer: " + problem +
                                           ". Give tokenizer_name_or_path when using it.");
    tokenizer.clear();
  }
  return std::make_unique<FullTrainable>(model, runtime, std::move(tokenizer));
}

}  // namespace morex::train
