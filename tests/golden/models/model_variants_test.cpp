// Every variant of golden/models: logits, hidden states, gradients, padding, packing and generation.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "golden/models/model_runs.h"
#include "golden/models/variant_cases.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

constexpr double kFloat64 = 1e-11;

// The packed row's documents, numbered: positions restart at each.
at::Tensor segments_from(const at::Tensor& positions) { return positions.eq(0).cumsum(1); }

class ModelVariant : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!supported_family(variant_dir(GetParam()))) GTEST_SKIP() << "SKIPPED unsupported: " << GetParam();
    facts_ = read_json_file(variant_dir(GetParam()) / "golden.json");
    golden_ = std::make_unique<GoldenTensors>(variant_dir(GetParam()) / "golden.safetensors");
    advice_ = facts_.at("tolerance").at("advice");
  }

  std::unique_ptr<models::CausalLm> load(at::ScalarType dtype) const {
    Warnings warnings(true);
    return models::load_model(variant_dir(GetParam()), {dtype, test_device()}, warnings);
  }
  at::Tensor input(const std::string& name) const { return golden_->get(name).to(test_device()); }
  double advice(const char* key) const { return advice_.at(key).get<double>(); }
  // Tolerance of the logits in that type.
  double logits_atol(at::ScalarType dtype) const {
    return dtype == at::kDouble ? kFloat64 : advice("fp32_logits_atol");
  }

  void check_forward(at::ScalarType dtype) {
    const auto model = load(dtype);
    const at::NoGradGuard no_grad;
    const at::Tensor ids = input("input_ids"), mask = input("attention_mask");
    const nn::BatchContext ctx = context_for(ids, mask, input("position_ids"));
    EXPECT_TRUE(near(all_logits(*model, ids, ctx), golden_->get("logits_f64"), logits_atol(dtype), 0, mask));
    const double loss = mean_loss(*model, ids, input("labels"), ctx).item<double>();
    const double wanted = facts_.at("loss_f64").get<double>();
    EXPECT_NEAR(loss, wanted, dtype == at::kDouble ? kFloat64 : wanted * advice("loss_rtol_fp32"));

    const at::Tensor left_ids = input("left.input_ids"), left_mask = input("left.attention_mask");
    const nn::BatchContext left = context_for(left_ids, left_mask, input("left.position_ids"), false);
    const at::Tensor left_logits = all_logits(*model, left_ids, left);
    if (golden_->has("left.logits_f64")) {
      EXPECT_TRUE(near(left_logits, golden_->get("left.logits_f64"), logits_atol(dtype), 0, left_mask));
    } else {  // the same rows moved: row r's first token stands behind its padding
      EXPECT_TRUE(near(left_logits, moved_left(golden_->get("logits_f64"), mask), logits_atol(dtype), 0, left_mask));
      EXPECT_TRUE(near(left_logits, golden_->get("left.logits"), 2 * advice("fp32_logits_atol"), 0, left_mask));
    }
    const double left_loss = mean_loss(*model, left_ids, input("left.labels"), left).item<double>();
    EXPECT_NEAR(left_loss, facts_.at("left_loss_f64").get<double>(),
                dtype == at::kDouble ? kFloat64 : wanted * advice("loss_rtol_fp32"));
    check_packed(*model, dtype);
  }

  void check_packed(const models::CausalLm& model, at::ScalarType dtype) {
    if (!golden_->has("packed.input_ids")) return;
    const at::Tensor ids = input("packed.input_ids"), positions = input("packed.position_ids");
    nn::BatchContext ctx = context_for(ids, {}, positions);
    ctx.segments = segments_from(positions);
    EXPECT_TRUE(near(all_logits(model, ids, ctx), golden_->get("packed.logits_f64"), logits_atol(dtype)));
    const double wanted = facts_.at("packed_loss_f64").get<double>();
    EXPECT_NEAR(mean_loss(model, ids, input("packed.labels"), ctx).item<double>(), wanted,
                dtype == at::kDouble ? kFloat64 : wanted * advice("loss_rtol_fp32"));
  }

  // Right-padded rows [B, L, …] shifted to the right end.
  static at::Tensor moved_left(const at::Tensor& rows, const at::Tensor& mask) {
    at::Tensor out = at::zeros_like(rows);
    const at::Tensor lengths = mask.cpu().sum(1);
    for (int64_t b = 0; b < rows.size(0); ++b) {
      const int64_t length = lengths[b].item<int64_t>();
      out[b].narrow(0, rows.size(1) - length, length).copy_(rows[b].narrow(0, 0, length));
    }
    return out;
  }

  void check_gradients(at::ScalarType dtype) {
    const auto model = load(dtype);
    const std::vector<at::Tensor> leaves = make_trainable(*model);
    const at::Tensor ids = input("input_ids");
    mean_loss(*model, ids, input("labels"), context_for(ids, input("attention_mask"), input("position_ids")))
        .backward();
    const std::vector<std::string> names = golden_->names_with_prefix("grad.");
    EXPECT_EQ(names.size(), leaves.size());
    ASSERT_FALSE(names.empty());
    for (size_t i = 0; i < leaves.size(); ++i) {
      const std::string& name = model->weights()[i].name;
      ASSERT_TRUE(golden_->has("grad." + name)) << name;
      ASSERT_TRUE(leaves[i].grad().defined()) << name;
      const double atol = advice("fp32_grad_atol"), rtol = advice("fp32_grad_rtol");
      EXPECT_TRUE(near(leaves[i].grad(), golden_->get("grad." + name), atol, rtol)) << name;
      const double norm = facts_.at("grad_l2_f64").at(name).get<double>();
      const double ours = leaves[i].grad().to(at::kDouble).norm().item<double>();
      EXPECT_NEAR(ours, norm, dtype == at::kDouble ? kFloat64 * std::max(1.0, norm) : atol + rtol * norm) << name;
      if (dtype == at::kDouble && golden_->has("grad_f64." + name)) {
        EXPECT_TRUE(near(leaves[i].grad(), golden_->get("grad_f64." + name), kFloat64)) << name;
      }
    }
  }

  Json facts_, advice_;
  std::unique_ptr<GoldenTensors> golden_;
};

TEST_P(ModelVariant, forward_float32) { check_forward(at::kFloat); }
TEST_P(ModelVariant, forward_float64) { check_forward(at::kDouble); }
TEST_P(ModelVariant, gradients_float32) { check_gradients(at::kFloat); }
TEST_P(ModelVariant, gradients_float64) { check_gradients(at::kDouble); }

TEST_P(ModelVariant, hidden_states) {
  const auto model = load(at::kFloat);
  const at::NoGradGuard no_grad;
  const at::Tensor ids = input("input_ids"), mask = input("attention_mask");
  nn::RoutingReport report;
  std::vector<at::Tensor> all;
  (void)model->hidden(ids, context_for(ids, mask, input("position_ids")), report, nullptr, &all);
  const at::Tensor wanted = golden_->get("hidden_states");
  ASSERT_EQ(static_cast<int64_t>(all.size()), wanted.size(0));
  for (size_t i = 0; i < all.size(); ++i) {
    const at::Tensor expected = wanted[static_cast<int64_t>(i)];
    EXPECT_TRUE(near(all[i].view(expected.sizes()), expected, advice("fp32_logits_atol"), 0, mask)) << "state " << i;
  }
}

TEST_P(ModelVariant, stored_dtype_bfloat16) {
  const auto model = load(at::kBFloat16);
  const at::NoGradGuard no_grad;
  const at::Tensor ids = input("input_ids"), mask = input("attention_mask");
  const at::Tensor logits = all_logits(*model, ids, context_for(ids, mask, input("position_ids")));
  EXPECT_EQ(logits.scalar_type(), at::kBFloat16);
  // Eight bits of mantissa through a few layers: loose, it shows that nothing is rounded that should not be.
  const double scale = facts_.at("logits_abs_max").get<double>();
  EXPECT_TRUE(near(logits, golden_->get("logits_f64"), 0.1 * scale, 0, mask));
  if (golden_->has("logits_stored_dtype")) {
    const double distance = facts_.at("tolerance").at("stored_dtype_vs_fp64_max_abs").get<double>();
    EXPECT_TRUE(near(logits, golden_->get("logits_f64"), 2 * distance, 0, mask));
    EXPECT_TRUE(near(logits, golden_->get("logits_stored_dtype"), 3 * distance, 0, mask));
  }
}

TEST_P(ModelVariant, generation) {
  ASSERT_TRUE(facts_.contains("generation"));
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const auto model = load(dtype);
    for (const Json& example : facts_.at("generation")) {
      const auto prompt = example.at("prompt").get<std::vector<int64_t>>();
      const auto cached = example.at("new_ids").get<std::vector<int64_t>>();
      const auto count = static_cast<int64_t>(cached.size());
      // Where the ids of the cached run are wrong in the reference itself, it names the list to match.
      const bool cached_is_reference = example.at("reference") == "new_ids";
      const auto uncached = example.at("new_ids_no_cache").get<std::vector<int64_t>>();
      EXPECT_EQ(greedy(*model, prompt, count, true), cached_is_reference ? cached : uncached);
      EXPECT_EQ(greedy(*model, prompt, count, false), uncached);
      if (!example.contains("with_eos")) continue;
      const Json& stop = example.at("with_eos");
      EXPECT_EQ(greedy(*model, prompt, count, true, stop.at("eos_token_id").get<int64_t>()),
                stop.at("new_ids").get<std::vector<int64_t>>());
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ModelVariant);
INSTANTIATE_TEST_SUITE_P(Golden, ModelVariant, testing::ValuesIn(variant_cases()), case_name);

TEST(ModelVariants, the_folder_has_cases) {
  if (!std::filesystem::is_directory(golden_dir() / "models"))
    GTEST_SKIP() << golden_dir() / "models"
                 << " is not there";
  EXPECT_FALSE(variant_cases().empty());
}

}  // namespace
}  // namespace morex::test
