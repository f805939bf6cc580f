// Ten steps of training all weights: losses, gradient norms and final parameters.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "golden/models/model_runs.h"
#include "golden/models/variant_cases.h"
#include "nn/parameter_store.h"
#include "ops/flat_adamw.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

std::vector<std::string> training_cases() {
  std::vector<std::string> cases;
  for (const std::string& name : variant_cases()) {
    if (read_json_file(variant_dir(name) / "golden.json").contains("training")) cases.push_back(name);
  }
  return cases;
}

// The model's weights as leaves of one flat buffer.
class FlatWeights {
 public:
  FlatWeights(models::CausalLm& model, const std::vector<std::string>& no_decay) {
    for (const models::NamedWeight& weight : model.weights()) {
      nn::LeafOptions options;
      options.decay = std::find(no_decay.begin(), no_decay.end(), weight.name) == no_decay.end();
      store_.declare(weight.name, weight.slot->sizes().vec(), options);
    }
    store_.allocate(model.dtype(), model.device());
    for (size_t i = 0; i < store_.leaves().size(); ++i) {
      const nn::Leaf& leaf = store_.leaves()[i];
      const at::Tensor& tensor = store_.leaf(static_cast<int64_t>(i));
      at::NoGradGuard no_grad;
      tensor.copy_(*model.weights()[i].slot);
      *model.weights()[i].slot = tensor;
      for (const nn::Segment& part : leaf.segments)
        segments_.push_back({part.offset, part.size, part.options.lr_factor, part.options.decay});
    }
    first_moment_ = at::zeros_like(store_.values());
    second_moment_ = at::zeros_like(store_.values());
  }

  nn::ParameterStore& store() { return store_; }
  void step(const ops::AdamWOptions& options, int64_t number) {
    ops::flat_adamw(store_.values(), store_.grads(), first_moment_, second_moment_, segments_, options, number);
  }

 private:
  nn::ParameterStore store_;
  std::vector<ops::AdamWSegment> segments_;
  at::Tensor first_moment_, second_moment_;
};

class ModelTraining : public testing::TestWithParam<std::string> {};

void check_run(const std::string& variant, const std::string& kind, at::ScalarType dtype) {
  SCOPED_TRACE(kind);
  const Json facts = read_json_file(variant_dir(variant) / "golden.json");
  const Json& run = facts.at("training").at(kind);
  const GoldenTensors golden(variant_dir(variant) / "golden.safetensors");
  Warnings warnings(true);
  const auto model = models::load_model(variant_dir(variant), {dtype, test_device()}, warnings);
  FlatWeights weights(*model, run.value("no_decay", std::vector<std::string>{}));

  const auto batch = [&](const char* name, int64_t step) {
    return golden.get(std::string("train.") + name)[step].to(test_device());
  };
  const auto loss_of = [&](int64_t step) {
    const at::Tensor ids = batch("input_ids", step);
    return mean_loss(*model, ids, batch("labels", step),
                     context_for(ids, batch("attention_mask", step), batch("position_ids", step)));
  };
  const Json& exact = run.at("fp64");
  const Json& single = run.at("fp32");
  // float64 must agree to 1e-10; float32 to ten times the distance of the reference's own float32 run from its float64
  // run, over the run: single steps may agree by chance.
  const auto bound = [&](const char* key) {
    double gap = 1e-6;
    for (size_t i = 0; i < exact.at(key).size(); ++i) {
      gap = std::max(gap, std::abs(exact.at(key)[i].get<double>() - single.at(key)[i].get<double>()));
    }
    return dtype == at::kDouble ? 1e-10 : 10 * gap;
  };
  ops::AdamWOptions options;
  options.beta1 = run.at("betas")[0].get<double>();
  options.beta2 = run.at("betas")[1].get<double>();
  options.eps = run.at("eps").get<double>();
  options.weight_decay = run.at("weight_decay").get<double>();
  const auto steps = static_cast<int64_t>(exact.at("losses").size());
  for (int64_t step = 0; step < steps; ++step) {
    const auto at = static_cast<size_t>(step);
    weights.store().zero_grads();
    const at::Tensor loss = loss_of(step);
    loss.backward();
    EXPECT_NEAR(loss.item<double>(), exact.at("losses")[at].get<double>(), bound("losses")) << "step " << step;
    const double norm = ops::clip_grad_norm(weights.store().grads(), run.value("max_grad_norm", 0.0));
    EXPECT_NEAR(norm, exact.at("grad_norms")[at].get<double>(), bound("grad_norms")) << "step " << step;
    options.lr = run.contains("lr_per_step") ? run.at("lr_per_step")[at].get<double>() : run.at("lr").get<double>();
    weights.step(options, step);
  }
  const at::NoGradGuard no_grad;
  EXPECT_NEAR(loss_of(0).item<double>(), exact.at("loss_after_on_batch0").get<double>(),
              dtype == at::kDouble ? 1e-10 : bound("losses"));
  if (dtype != at::kDouble) return;
  const Json& final_parameters = run.at("final_parameters_fp64");
  EXPECT_EQ(final_parameters.size(), model->weights().size());
  for (const models::NamedWeight& weight : model->weights()) {
    const Json& wanted = final_parameters.at(weight.name);
    EXPECT_NEAR(weight.slot->sum().item<double>(), wanted.at("sum").get<double>(), 1e-10) << weight.name;
    EXPECT_NEAR(weight.slot->norm().item<double>(), wanted.at("l2").get<double>(), 1e-10) << weight.name;
  }
}

TEST_P(ModelTraining, trajectory_matches_reference) {
  if (!supported_family(variant_dir(GetParam()))) GTEST_SKIP() << "SKIPPED unsupported: " << GetParam();
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    check_run(GetParam(), "plain", dtype);
    check_run(GetParam(), "recipe", dtype);
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ModelTraining);
INSTANTIATE_TEST_SUITE_P(Golden, ModelTraining, testing::ValuesIn(training_cases()), case_name);

}  // namespace
}  // namespace morex::test
