// A small real model, stored in float32 and in bfloat16, against an independent float64 forward.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "golden/models/model_runs.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

std::unique_ptr<models::CausalLm> load(const std::filesystem::path& folder, at::ScalarType dtype) {
  Warnings warnings(true);
  return models::load_model(folder, {dtype, test_device()}, warnings);
}

void check(const models::CausalLm& model, double nll_atol, double logits_atol) {
  const Json reference = read_json_file(data_dir() / "models" / "tinystories-656k" / "reference.json");
  ASSERT_FALSE(reference.at("cases").empty());
  for (const Json& text : reference.at("cases")) {
    const auto ids = text.at("ids").get<std::vector<int64_t>>();
    const at::Tensor row = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());
    const at::NoGradGuard no_grad;
    EXPECT_NEAR(mean_loss(model, row, row, context_for(row)).item<double>(), text.at("mean_nll").get<double>(),
                nll_atol);
    const at::Tensor logits = all_logits(model, ids);
    const auto last = text.at("last_logits").get<std::vector<double>>();
    EXPECT_TRUE(near(logits[-1], at::tensor(last, at::kDouble), logits_atol));
    const auto wanted = text.at("greedy").get<std::vector<int64_t>>();
    EXPECT_EQ(greedy(model, ids, static_cast<int64_t>(wanted.size()), true), wanted);
  }
}

TEST(TinyStories, matches_reference) {
  const auto folder = data_dir() / "models" / "tinystories-656k";
  if (!std::filesystem::exists(folder / "reference.json")) GTEST_SKIP() << folder << " is not there";
  check(*load(folder, at::kDouble), 1e-9, 1e-7);  // the reference's digits
  check(*load(folder, at::kFloat), 5e-5, 1e-3);
}

// The same numbers stored in bfloat16 and under the other of the tied names.
TEST(TinyStories, bfloat16_files_hold_the_same_weights) {
  const auto folder = data_dir() / "models" / "tinystories-656k";
  const auto stored_in_bfloat16 = data_dir() / "models" / "tinystories-656k-bf16";
  if (!std::filesystem::exists(stored_in_bfloat16)) GTEST_SKIP() << stored_in_bfloat16 << " is not there";
  const auto a = load(folder, at::kFloat), b = load(stored_in_bfloat16, at::kFloat);
  ASSERT_EQ(a->weights().size(), b->weights().size());
  for (size_t i = 0; i < a->weights().size(); ++i) {
    EXPECT_EQ(a->weights()[i].name, b->weights()[i].name);
    EXPECT_TRUE(same_bits(*a->weights()[i].slot, *b->weights()[i].slot)) << a->weights()[i].name;
  }
  EXPECT_NE(a->digest(), b->digest());
}

}  // namespace
}  // namespace morex::test
