// Token-normalised accumulation: loss and gradients do not depend on how eight samples are cut into micro-batches.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "support/paths.h"
#include "train/gradients.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

fs::path golden_file() { return test::golden_dir() / "eval" / "train" / "accumulation.json"; }
fs::path base_folder() { return test::data_dir() / "models" / "tinystories-656k"; }

std::vector<std::string> splits() {
  std::vector<std::string> names;
  if (!fs::exists(golden_file())) return names;
  const Json golden = read_json_file(golden_file());
  for (const auto& [name, batches] : golden.at("splits").items()) names.push_back(name);
  return names;
}

// All weights of the float64 model as leaves, and the samples of the file.
struct Samples {
  Json golden = read_json_file(golden_file());
  Warnings warnings{false, false};
  Recipe recipe;
  Runtime runtime;
  std::unique_ptr<models::CausalLm> model;
  std::unique_ptr<Trainable> trainable;
  std::vector<data::Example> examples;

  Samples() {
    recipe.dtype = "float64";
    recipe.device = "cpu";
    recipe.threads = 2;
    recipe.model_name_or_path = base_folder();
    recipe.method = {{"method", "full"}};
    runtime = resolve_runtime(recipe, warnings);
    model = models::load_model(base_folder(), {runtime.dtype, runtime.device}, warnings);
    trainable = make_trainable(recipe, runtime, *model, warnings);
    for (const Json& sample : golden.at("samples")) {
      data::Example example;
      example.ids = sample["ids"].get<std::vector<int64_t>>();
      example.labels = sample["labels"].get<std::vector<int64_t>>();
      examples.push_back(example);
    }
  }

  StepSums accumulate(const Json& split) {
    std::vector<data::Batch> window;
    for (const Json& rows : split) window.push_back(data::make_batch(examples, rows.get<std::vector<int64_t>>(), 0));
    return accumulate_gradients(*model, *trainable, window, 0, 0, 1);
  }

  at::Tensor gradient(const std::string& name) const {
    for (const nn::NamedView& view : trainable->parameters().views())
      if (view.name == name) return trainable->parameters().named_grad(view);
    ADD_FAILURE() << "no weight " << name;
    return {};
  }
};

class Accumulation : public testing::TestWithParam<std::string> {};

TEST_P(Accumulation, Token_mode_agrees_with_the_reference) {
  if (!fs::exists(base_folder())) GTEST_SKIP() << "no models/tinystories-656k in the data folder";
  Samples samples;
  const Json& expected = samples.golden.at("results").at("token").at(GetParam());
  const StepSums sums = samples.accumulate(samples.golden["splits"][GetParam()]);
  EXPECT_EQ(sums.supervised, samples.golden["total_targets"]);
  EXPECT_NEAR(sums.loss(), expected["loss64"], 1e-8);
  const double norm = samples.trainable->parameters().grads().norm().item<double>();
  EXPECT_NEAR(norm, expected["grad_norm64"], 1e-8);
  for (const auto& [name, value] : expected.at("grad_norms64").items())
    EXPECT_NEAR(samples.gradient(name).norm().item<double>(), value.get<double>(), 1e-8) << name;
  if (!expected.contains("grad_head64")) return;
  for (const auto& [name, values] : expected["grad_head64"].items()) {
    const at::Tensor flat = samples.gradient(name).reshape({-1});
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(), values[i].get<double>(), 1e-8) << name << " " << i;
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Accumulation);
INSTANTIATE_TEST_SUITE_P(Golden, Accumulation, testing::ValuesIn(splits()),
                         [](const auto& info) { return "split_" + info.param; });

TEST(AccumulationGolden, All_splits_give_the_same_gradients) {
  if (!fs::exists(golden_file())) GTEST_SKIP() << "no eval/train/accumulation.json in the golden folder";
  if (!fs::exists(base_folder())) GTEST_SKIP() << "no models/tinystories-656k in the data folder";
  ASSERT_FALSE(splits().empty());
  Samples samples;
  at::Tensor first;
  for (const std::string& name : splits()) {
    samples.accumulate(samples.golden["splits"][name]);
    const at::Tensor grads = samples.trainable->parameters().grads().clone();
    if (!first.defined()) first = grads;
    EXPECT_LT((grads - first).abs().max().item<double>(), 1e-12) << name;
  }
}

}  // namespace
}  // namespace morex::train
