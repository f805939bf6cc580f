// Rotary tables against the formulas written out in double.
#include "models/rope.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/golden_tensors.h"

namespace morex::test {
namespace {

models::ModelConfig config_with(const std::string& type) {
  models::ModelConfig config;
  config.head_dim = 8;
  config.max_position_embeddings = 32;
  config.rope_theta = 1000.0;
  config.rope_scaling.type = type;
  config.rope_scaling.factor = 4.0;
  return config;
}

at::Tensor powers(double base) {
  std::vector<double> values;
  for (int i = 0; i < 4; ++i) values.push_back(std::pow(base, -i / 4.0));
  return at::tensor(values, at::kDouble);
}

TEST(Rope, default_and_linear_frequencies) {
  const auto plain = models::rope_frequencies(config_with("default"), 8, 100, at::kDouble);
  EXPECT_TRUE(near(plain.inverse, powers(1000.0), 1e-15));
  EXPECT_EQ(plain.attention_factor, 1.0);
  const auto linear = models::rope_frequencies(config_with("linear"), 8, 100, at::kDouble);
  EXPECT_TRUE(near(linear.inverse, powers(1000.0) / 4.0, 1e-15));
}

TEST(Rope, dynamic_base_grows_only_beyond_the_trained_positions) {
  const auto config = config_with("dynamic");
  EXPECT_TRUE(near(models::rope_frequencies(config, 8, 32, at::kDouble).inverse, powers(1000.0), 1e-15));
  const double stretch = 4.0 * 48 / 32 - 3.0;
  const double base = 1000.0 * std::pow(stretch, 8.0 / 6.0);
  EXPECT_TRUE(near(models::rope_frequencies(config, 8, 48, at::kDouble).inverse, powers(base), 1e-14));
}

TEST(Rope, dynamic_tables_depend_on_the_largest_position_of_the_call_alone) {
  const models::RopeTables tables(config_with("dynamic"), 8, at::kDouble, at::kCPU);
  const at::Tensor early = at::arange(4, at::kLong);
  const auto before = tables(early);
  const auto with_late = tables(at::tensor({0, 1, 2, 47}, at::kLong));
  EXPECT_FALSE(at::allclose(with_late.cos[2], before.cos[2]));
  EXPECT_TRUE(same_bits(tables(early).cos, before.cos));
}

TEST(Rope, llama3_keeps_short_and_slows_long_wavelengths) {
  auto config = config_with("llama3");
  config.rope_scaling.low_freq_factor = 1.0;
  config.rope_scaling.high_freq_factor = 4.0;
  config.rope_scaling.original_max_position_embeddings = 64;
  const at::Tensor inverse = models::rope_frequencies(config, 8, 0, at::kDouble).inverse;
  const at::Tensor plain = powers(1000.0);
  // Wavelengths 6.3, 35, 199, 1117 against bounds 16 and 64.
  EXPECT_DOUBLE_EQ(inverse[0].item<double>(), plain[0].item<double>());
  const double smooth = (64.0 * plain[1].item<double>() / (2.0 * M_PI) - 1.0) / 3.0;
  EXPECT_NEAR(inverse[1].item<double>(), ((1 - smooth) / 4.0 + smooth) * plain[1].item<double>(), 1e-15);
  EXPECT_DOUBLE_EQ(inverse[3].item<double>(), plain[3].item<double>() / 4.0);
}

TEST(Rope, yarn_blends_and_scales_attention) {
  auto config = config_with("yarn");
  config.rope_scaling.original_max_position_embeddings = 8;
  const auto frequencies = models::rope_frequencies(config, 8, 0, at::kDouble);
  EXPECT_DOUBLE_EQ(frequencies.attention_factor, 0.1 * std::log(4.0) + 1.0);
  EXPECT_DOUBLE_EQ(frequencies.inverse[3].item<double>(), powers(1000.0)[3].item<double>() / 4.0);
  config.rope_scaling.attention_factor = 1.25;
  EXPECT_EQ(models::rope_frequencies(config, 8, 0, at::kDouble).attention_factor, 1.25);
  config.rope_scaling.attention_factor = 0.0;
  config.rope_scaling.mscale = 1.0;
  config.rope_scaling.mscale_all_dim = 0.5;
  EXPECT_DOUBLE_EQ(models::rope_frequencies(config, 8, 0, at::kDouble).attention_factor,
                   (0.1 * std::log(4.0) + 1.0) / (0.05 * std::log(4.0) + 1.0));
}

TEST(Rope, stored_divisors_divide) {
  auto config = config_with("default");
  config.rope_scaling.frequency_divisors = {1.0, 2.0, 4.0, 8.0};
  const at::Tensor divisors = at::tensor({1.0, 2.0, 4.0, 8.0}, at::kDouble);
  EXPECT_TRUE(near(models::rope_frequencies(config, 8, 0, at::kDouble).inverse, powers(1000.0) / divisors, 1e-15));
}

TEST(Rope, tables_are_float32_for_float32_and_bfloat16) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto tables = models::RopeTables(config_with("default"), 8, dtype, at::kCPU)(at::arange(5, at::kLong));
    EXPECT_EQ(tables.cos.scalar_type(), at::kFloat);
    EXPECT_EQ(tables.cos.sizes(), at::IntArrayRef({5, 8}));
    const at::Tensor angles = at::arange(5, at::kDouble).unsqueeze(1) * powers(1000.0);
    EXPECT_TRUE(near(tables.sin.narrow(1, 0, 4), angles.sin(), 1e-6));
    EXPECT_TRUE(same_bits(tables.sin.narrow(1, 4, 4), tables.sin.narrow(1, 0, 4)));
  }
}

}  // namespace
}  // namespace morex::test
