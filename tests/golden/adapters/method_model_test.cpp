// golden/methods/model: a tiny Llama with an adapter, logits, first gradients and twenty steps, in float64 and float32.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "../models/model_runs.h"
#include "adapters/official_names.h"
#include "flat_recipes.h"
#include "model_case.h"
#include "recipe_of_case.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "training_run.h"

namespace morex::test {
namespace {

struct ModelCase {
  std::string name;
  at::ScalarType dtype;
  bool gather = false;  // experts that can be gathered are
};

void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.name; }

std::vector<ModelCase> model_cases() {
  std::vector<ModelCase> cases;
  for (const std::string& name : golden_cases("methods/model", ""))
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      cases.push_back({name, dtype});
      const Json config = read_json_file(golden_dir() / "methods" / "model" / name / "config.json");
      if (can_gather(recipe_of_case(config.at("method"), config.at("config")).value_or(Json::object())))
        cases.push_back({name, dtype, true});
    }
  return cases;
}

class MethodModel : public testing::TestWithParam<ModelCase> {
 protected:
  // Products this small are slower on two threads than on one, many times so when the cores are busy.
  void SetUp() override { at::set_num_threads(1); }

  // Bounds of the README's table for the run's dtype.
  double losses_bound() const { return wide() ? 1e-9 : 10.0 * error("loss") + 1e-5; }
  double logits_bound(const std::string& name) const { return wide() ? 1e-9 : 10.0 * error(name) + 1e-5; }
  double tensor_bound(const at::Tensor& expected) const {
    return wide() ? 1e-6 * (1.0 + expected.abs().max().item<double>()) : 10.0 * error("final") + 1e-5;
  }
  // The README bounds no float32 gradients: relative to their size, as in the layer cases.
  double gradient_bound(const at::Tensor& expected) const {
    const double largest = expected.abs().max().item<double>();
    return wide() ? tensor_bound(expected) : 10.0 * error("final") + 1e-5 * std::max(1.0, largest);
  }
  bool wide() const { return GetParam().dtype == at::kDouble; }
  double error(const std::string& name) const { return config_.at("f32_max_abs_error").value(name, 0.0); }

  Json config_;
};

TEST_P(MethodModel, Matches_the_reference_over_twenty_steps) {
  const ModelCase& param = GetParam();
  const ModelCaseFiles files(param.name);
  config_ = files.config;
  auto recipe = recipe_of_case(config_.at("method"), config_.at("config"));
  ASSERT_TRUE(recipe.has_value()) << "no recipe for " << param.name << ": every published method is built";
  (*recipe)["target_modules"] = config_.at("target_modules");
  if (param.gather) (*recipe)["experts"]["execution"] = "gather";
  if (config_.at("training").contains("loraplus_lr_ratio"))
    (*recipe)["loraplus_lr_ratio"] = config_["training"]["loraplus_lr_ratio"];

  Warnings warnings(false, false);
  const auto model = models::load_model(golden_dir() / "methods" / "base", {param.dtype, test_device()}, warnings);
  const auto set = adapters::AdapterSet::create(*recipe, model->slots(), param.dtype, test_device(), warnings);
  nn::ParameterStore& store = set->parameters();
  const GoldenTensors& golden = files.golden;
  ASSERT_EQ(files.initial.names().size(), store.views().size());
  ASSERT_EQ(store.parameter_count(), config_.at("trainable_parameters").get<int64_t>());
  const std::string layout = official_layout(config_.at("method"));
  const auto plain = [&](const nn::NamedView& view) {
    return adapters::official_name(layout, view.name.substr(std::string("base_model.model.").size()));
  };
  for (const nn::NamedView& view : store.views()) {
    const at::NoGradGuard guard;
    store.named_value(view).copy_(files.initial.get(plain(view)));
  }
  set->attach();

  const auto context = [&](int64_t step) { return files.context(step, param.dtype); };
  const auto logits = [&] {
    const at::NoGradGuard guard;
    return all_logits(*model, files.batch("input_ids", 0), context(0));
  };

  // Rows of padding see other padding here; they reach no loss.
  const at::Tensor mask = files.batch("attention_mask", 0);
  EXPECT_TRUE(near(logits(), golden.get("f64.logits"), logits_bound("logits"), 0.0, mask));
  AdamW optimiser(store, config_.at("training"));
  const Json& expected = config_.at("f64");
  const int64_t steps = config_.at("training").at("steps");
  ASSERT_EQ(static_cast<int64_t>(expected.at("loss").size()), steps);
  for (int64_t step = 0; step < steps; ++step) {
    const LossParts parts =
        losses(*model, *set, files.batch("input_ids", step), files.batch("labels", step), context(step));
    parts.total().backward();
    EXPECT_NEAR(parts.total().item<double>(), expected["loss"][step].get<double>(), losses_bound()) << "step " << step;
    EXPECT_NEAR(parts.cross_entropy.item<double>(), expected.at("ce")[step].get<double>(), losses_bound());
    if (parts.auxiliary.defined()) {
      EXPECT_NEAR(parts.auxiliary.item<double>(), expected.at("aux")[step].get<double>(), losses_bound());
    }
    for (const nn::NamedView& view : store.views()) {
      if (step > 0 || !golden.has("grad0." + plain(view))) continue;
      const at::Tensor& grad = golden.get("grad0." + plain(view));
      EXPECT_TRUE(near(store.named_grad(view), grad, gradient_bound(grad))) << view.name;
    }
    optimiser.step();
  }
  EXPECT_TRUE(near(logits()[0], golden.get("f64.logits_after")[0], logits_bound("logits_after"), 0.0, mask[0]));
  for (const nn::NamedView& view : store.views()) {
    const at::Tensor& last = golden.get("final." + plain(view));
    EXPECT_TRUE(near(store.named_value(view), last, tensor_bound(last))) << view.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, MethodModel, testing::ValuesIn(model_cases()), [](const auto& info) {
  return info.param.name + (info.param.dtype == at::kDouble ? "_f64" : "_f32") + (info.param.gather ? "_gather" : "");
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MethodModel);

TEST(MethodModelCases, Exist_where_the_folder_does) {
  if (!std::filesystem::exists(golden_dir() / "methods" / "model"))
    GTEST_SKIP() << "there is no methods/model in " << golden_dir();
  EXPECT_FALSE(model_cases().empty());
}

}  // namespace
}  // namespace morex::test
