// golden/models/*/adapters: adapters as PEFT wrote them, on models as Hugging Face wrote them.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "../models/model_runs.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "training_run.h"

namespace morex::test {
namespace {

struct PeftCase {
  std::string base, name;
  at::ScalarType dtype;
};

void PrintTo(const PeftCase& peft, std::ostream* out) { *out << peft.base << "/" << peft.name; }

std::vector<PeftCase> peft_cases() {
  std::vector<PeftCase> cases;
  for (const std::string& base : golden_cases("models", ""))
    for (const std::string& name : golden_cases("models/" + base + "/adapters", ""))
      for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) cases.push_back({base, name, dtype});
  return cases;
}

// PEFT's name in the live model.
std::string live_name(const std::string& name) {
  const size_t end = name.rfind(".weight");
  return name.substr(0, end) + ".default.weight";
}

class PeftAdapter : public testing::TestWithParam<PeftCase> {
 protected:
  void SetUp() override { at::set_num_threads(1); }  // see method_model_test.cpp
  bool wide() const { return GetParam().dtype == at::kDouble; }
  std::filesystem::path base_folder() const { return golden_dir() / "models" / GetParam().base; }
  std::filesystem::path folder() const { return base_folder() / "adapters" / GetParam().name; }

  // False: this build does not have the base's family or what the adapter asks for.
  bool load() {
    if (!supported_family(base_folder())) return false;
    set_.reset();
    model_ = models::load_model(base_folder(), {GetParam().dtype, test_device()}, warnings_);
    try {
      set_ = adapters::AdapterSet::load(folder(), model_->slots(), {GetParam().base, model_->digest()},
                                        GetParam().dtype, test_device(), warnings_);
    } catch (const Error& error) {
      const std::string reason = error.what();
      const bool unsupported = reason.find("not supported") != std::string::npos ||
                               reason.find("peft_type must be") != std::string::npos ||
                               reason.find("is an embedding") != std::string::npos;
      const bool plain =
          std::string("lora lora_rslora lora_patterns lora_regex lora_layers lora_all_linear").find(GetParam().name) !=
          std::string::npos;
      if (plain || !unsupported) throw;
      return false;
    }
    set_->attach();
    info_ = read_json_file(folder() / "golden.json");
    return true;
  }

  void check_training(const GoldenTensors& batches);

  Warnings warnings_{false, false};
  std::unique_ptr<models::CausalLm> model_;
  std::unique_ptr<adapters::AdapterSet> set_;
  Json info_;
};

void PeftAdapter::check_training(const GoldenTensors& batches) {
  const Json& training = info_.at("training");
  const Json &exact = training.at("fp64"), &single = training.at("fp32");
  const auto bound = [&](const char* key, size_t step) {
    return wide() ? 1e-10 * (1.0 + std::abs(exact[key][step].get<double>()))
                  : 10.0 * std::abs(exact[key][step].get<double>() - single[key][step].get<double>()) + 1e-5;
  };
  nn::ParameterStore& store = set_->parameters();
  AdamW optimiser(store, training);
  const auto loss_on = [&](int64_t step) {
    const auto batch = [&](const char* name) {
      return batches.get(std::string("train.") + name)[step].to(test_device());
    };
    const nn::BatchContext ctx = context_for(batch("input_ids"), batch("attention_mask"), batch("position_ids"));
    return losses(*model_, *set_, batch("input_ids"), batch("labels"), ctx).cross_entropy;
  };
  for (int64_t step = 0; step < training.at("steps").get<int64_t>(); ++step) {
    const auto i = static_cast<size_t>(step);
    const at::Tensor loss = loss_on(step);
    loss.backward();
    EXPECT_NEAR(loss.item<double>(), exact["losses"][i].get<double>(), bound("losses", i)) << "step " << step;
    EXPECT_NEAR(store.grads().norm().item<double>(), exact["grad_norms"][i].get<double>(),
                wide() ? bound("grad_norms", i) : 1e-4 * exact["grad_norms"][i].get<double>());
    optimiser.step();
  }
  const double after = exact.at("loss_after_on_batch0");
  EXPECT_NEAR(loss_on(0).item<double>(), after, wide() ? 1e-10 * (1.0 + after) : 1e-4);
  for (const nn::NamedView& view : store.views()) {
    const Json& expected = training.at("final_parameters_fp64").at(live_name(view.name));
    const at::Tensor value = store.named_value(view).to(at::kDouble);
    const double tolerance = wide() ? 1e-9 : 1e-3;
    EXPECT_NEAR(value.sum().item<double>(), expected.at("sum").get<double>(), tolerance) << view.name;
    EXPECT_NEAR(value.norm().item<double>(), expected.at("l2").get<double>(), tolerance) << view.name;
  }
}

TEST_P(PeftAdapter, Matches_PEFT) {
  if (!load()) GTEST_SKIP() << "SKIPPED unsupported: models/" << GetParam().base << "/adapters/" << GetParam().name;
  const GoldenTensors inputs(base_folder() / "golden.safetensors"), golden(folder() / "golden.safetensors");
  const Json tolerance = info_.at("tolerance");
  const at::Tensor ids = inputs.get("input_ids").to(test_device()), mask = inputs.get("attention_mask");
  const nn::BatchContext ctx = context_for(ids, mask, inputs.get("position_ids"));

  const double logits_error = tolerance.at("logits_fp32_vs_fp64_max_abs");
  const at::Tensor logits = all_logits(*model_, ids, ctx).detach();
  EXPECT_TRUE(near(logits, golden.get("logits_f64"), wide() ? 1e-11 : 10.0 * logits_error, 0.0, mask));

  const LossParts parts = losses(*model_, *set_, ids, inputs.get("labels"), ctx);
  EXPECT_NEAR(parts.total().item<double>(), info_.at("loss_f64").get<double>(), wide() ? 1e-11 : 1e-5);
  set_->parameters().zero_grads();
  parts.total().backward();
  ASSERT_EQ(set_->parameters().views().size(), info_.at("trainable").size());
  const double grad_error = tolerance.at("grad_fp32_vs_fp64_max_abs");
  for (const nn::NamedView& view : set_->parameters().views()) {
    const std::string name = live_name(view.name);
    const bool exact = wide() && golden.has("grad_f64." + name);
    const at::Tensor& expected = golden.get((exact ? "grad_f64." : "grad.") + name);
    EXPECT_TRUE(near(set_->parameters().named_grad(view), expected, exact ? 1e-11 : 10.0 * grad_error)) << name;
  }
  set_->parameters().zero_grads();

  // Without the adapter the base comes back; merged it answers as with it.
  set_->detach();
  EXPECT_TRUE(near(all_logits(*model_, ids, ctx).detach(), inputs.get("logits_f64"), wide() ? 1e-11 : 1e-4, 0.0, mask));
  set_->attach();
  if (info_.contains("training")) check_training(inputs);

  ASSERT_TRUE(load());
  set_->merge_into_base();
  const at::Tensor merged = all_logits(*model_, ids, ctx).detach().narrow(0, 0, 1);
  const at::Tensor first = mask.narrow(0, 0, 1);
  EXPECT_TRUE(near(merged, wide() ? golden.get("logits_f64").narrow(0, 0, 1) : golden.get("merged.logits"),
                   wide() ? 1e-11 : 10.0 * (logits_error + tolerance.at("merged_vs_active_fp32_max_abs").get<double>()),
                   0.0, first));
}

INSTANTIATE_TEST_SUITE_P(Golden, PeftAdapter, testing::ValuesIn(peft_cases()), [](const auto& info) {
  return info.param.base + "_" + info.param.name + (info.param.dtype == at::kDouble ? "_f64" : "_f32");
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PeftAdapter);

TEST(PeftAdapterCases, Exist_where_the_folder_does) {
  if (!std::filesystem::exists(golden_dir() / "models")) GTEST_SKIP() << "there is no models in " << golden_dir();
  EXPECT_FALSE(peft_cases().empty());
}

}  // namespace
}  // namespace morex::test
