#include "models/weight_digest.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "models/finite_check.h"
#include "models/gguf_names.h"

namespace morex::test {
namespace {

TEST(WeightDigest, every_byte_and_the_length_count) {
  std::vector<std::byte> bytes(3 * (size_t{1} << 20) + 13);
  std::set<uint64_t> seen = {models::content_hash(bytes)};
  for (const size_t at : {size_t{0}, size_t{7}, size_t{1} << 20, bytes.size() - 1}) {
    bytes[at] = std::byte{1};
    EXPECT_TRUE(seen.insert(models::content_hash(bytes)).second) << at;
  }
  for (size_t length = 0; length < 70; ++length) {
    const std::vector<std::byte> zeros(length);
    EXPECT_TRUE(seen.insert(models::content_hash(zeros)).second) << length;
  }
}

TEST(WeightDigest, does_not_depend_on_the_order_of_adding) {
  const std::vector<std::byte> a(40, std::byte{1}), b(8, std::byte{2});
  models::WeightDigest first, second, other;
  first.add("a", "F32", {10}, a);
  first.add("b", "F32", {2}, b);
  second.add("b", "F32", {2}, b);
  second.add("a", "F32", {10}, a);
  other.add("a", "F32", {5, 2}, a);
  other.add("b", "F32", {2}, b);
  EXPECT_EQ(first.hex(), second.hex());
  EXPECT_NE(first.hex(), other.hex());
}

TEST(FiniteCheck, names_the_first_bad_element) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    at::Tensor values = at::full({4, 3}, 65504.0, at::TensorOptions(dtype));
    EXPECT_NO_THROW(models::check_finite(values, "file", "weight"));
    values[2][1] = -INFINITY;
    try {
      models::check_finite(values, "file", "weight");
      FAIL();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "[file] weight must be finite, got -inf at element 7");
    }
    values[0][2] = NAN;
    EXPECT_THROW(models::check_finite(values, "file", "weight"), Error);
  }
}

TEST(GgufNames, of_every_llama_weight) {
  EXPECT_EQ(models::gguf_name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(models::gguf_name("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(models::gguf_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(models::gguf_name("model.layers.12.self_attn.o_proj.bias"), "blk.12.attn_output.bias");
  EXPECT_EQ(models::gguf_name("model.layers.0.post_attention_layernorm.weight"), "blk.0.ffn_norm.weight");
}

}  // namespace
}  // namespace morex::test
