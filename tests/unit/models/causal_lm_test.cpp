// The model around its slots: tied weights, the loss, the cache, padding, shapes without weights.
#include "models/causal_lm.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "golden/models/model_runs.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

// A small Llama with random weights, written as a Hugging Face folder.
std::filesystem::path write_llama(const std::string& name, bool tied, at::ScalarType stored = at::kFloat) {
  const auto folder = scratch_dir(name);
  const Json config = {{"model_type", "llama"},  {"hidden_size", 16},          {"intermediate_size", 24},
                       {"num_hidden_layers", 2}, {"num_attention_heads", 4},   {"num_key_value_heads", 2},
                       {"vocab_size", 32},       {"tie_word_embeddings", tied}};
  write_text_file(folder / "config.json", config.dump());
  at::manual_seed(7);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  Warnings warnings(true);
  const auto meta = models::make_meta_model(models::load_model_config(folder, warnings));
  for (const models::NamedWeight& weight : meta->weights()) {
    tensors.emplace_back(weight.name, (0.3 * at::randn(weight.slot->sizes())).to(stored));
  }
  nn::save_tensors(folder / "model.safetensors", tensors);
  return folder;
}

std::unique_ptr<models::CausalLm> load(const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat) {
  Warnings warnings(true);
  return models::load_model(folder, {dtype, at::kCPU}, warnings);
}

const std::vector<int64_t> kIds = {3, 1, 4, 1, 5, 9, 2, 6};

TEST(CausalLm, slots_stand_in_the_order_of_the_forward_pass) {
  const auto model = load(write_llama("slots", false));
  std::vector<std::string> modules;
  for (const nn::LinearGroup* group : model->slots().groups) modules.push_back(group->members.front().module);
  EXPECT_EQ(modules,
            (std::vector<std::string>{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj",
                                      "model.layers.0.mlp.gate_proj", "model.layers.0.mlp.down_proj",
                                      "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.o_proj",
                                      "model.layers.1.mlp.gate_proj", "model.layers.1.mlp.down_proj", "lm_head"}));
  EXPECT_EQ(model->slots().mlps.size(), 2u);
  EXPECT_EQ(model->slots().embeddings.size(), 1u);
  EXPECT_EQ(model->slots().groups.front()->layer, 0);
  EXPECT_EQ(model->slots().groups.back()->layer, -1);
}

TEST(CausalLm, a_tied_head_follows_the_embedding) {
  const auto model = load(write_llama("tied", true));
  const auto& weights = model->weights();
  EXPECT_TRUE(std::none_of(weights.begin(), weights.end(), [](const auto& w) { return w.name == "lm_head.weight"; }));
  at::Tensor& embedding = *model->weights().front().slot;
  const at::Tensor before = all_logits(*model, kIds);
  at::Tensor changed = embedding.clone();
  changed[31].zero_();  // no input has this id: only the head can show it
  embedding = changed;
  const at::Tensor after = all_logits(*model, kIds);
  EXPECT_TRUE(same_bits(after.narrow(1, 0, 31), before.narrow(1, 0, 31)));
  EXPECT_TRUE(near(after.select(1, 31), at::zeros({8}), 0.0));
  EXPECT_FALSE(near(before.select(1, 31), at::zeros({8}), 1e-3));
}

TEST(CausalLm, loss_sum_is_the_cross_entropy_of_the_logits) {
  const auto model = load(write_llama("loss", false), at::kDouble);
  const at::Tensor logits = all_logits(*model, kIds);
  const at::Tensor row = at::tensor(kIds, at::kLong).unsqueeze(0);
  const nn::BatchContext ctx = context_for(row);
  nn::RoutingReport report;
  const at::Tensor targets = at::tensor({1, 4, -100, 5, 9, -100, 6, 0}, at::kLong);
  const at::Tensor sum = model->loss_sum(model->hidden(row, ctx, report), targets, ctx, report);
  const at::Tensor expected = at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, -100);
  EXPECT_NEAR(sum.item<double>(), expected.item<double>(), 1e-12);
}

TEST(CausalLm, pieces_through_the_cache_equal_the_whole) {
  const auto model = load(write_llama("cache", false), at::kDouble);
  const at::Tensor whole = all_logits(*model, kIds);
  nn::KvCache cache = model->make_cache(1, 2);
  std::vector<at::Tensor> parts;
  for (const auto& [from, count] : {std::pair<int64_t, int64_t>{0, 3}, {3, 1}, {4, 4}}) {
    const at::Tensor row = at::tensor(kIds, at::kLong).narrow(0, from, count).unsqueeze(0);
    const nn::BatchContext ctx = context_for(row);
    nn::RoutingReport report;
    parts.push_back(model->logits(model->hidden(row, ctx, report, &cache), ctx, report));
  }
  EXPECT_EQ(cache.length(), 8);
  EXPECT_TRUE(near(at::cat(parts), whole, 1e-12));
}

TEST(CausalLm, left_padded_rows_through_the_cache_equal_unpadded_ones) {
  const auto model = load(write_llama("left", false), at::kDouble);
  const at::Tensor long_row = all_logits(*model, kIds), short_row = all_logits(*model, {7, 8, 9, 10, 11});
  const at::Tensor ids = at::tensor({3, 1, 4, 1, 5, 9, 2, 6, 0, 0, 0, 7, 8, 9, 10, 11}, at::kLong).view({2, 8});
  const at::Tensor mask = ids.ne(0);
  const at::Tensor positions = (mask.to(at::kLong).cumsum(1) - 1).clamp_min(0);
  nn::KvCache cache = model->make_cache(2, 8);
  at::Tensor last;
  for (const auto& [from, count] : {std::pair<int64_t, int64_t>{0, 7}, {7, 1}}) {
    const at::Tensor part = ids.narrow(1, from, count);
    nn::BatchContext ctx = context_for(part, {}, positions.narrow(1, from, count), false);
    ctx.token_mask = mask.narrow(1, 0, from + count);
    nn::RoutingReport report;
    last = model->logits(model->hidden(part, ctx, report, &cache), ctx, report).view({2, count, -1});
  }
  EXPECT_TRUE(near(last[0][0], long_row[7], 1e-12));
  EXPECT_TRUE(near(last[1][0], short_row[4], 1e-12));
}

TEST(CausalLm, ids_outside_the_vocabulary_are_refused) {
  const auto model = load(write_llama("ids", false));
  EXPECT_THROW((void)all_logits(*model, {3, 32}), Error);
  EXPECT_THROW((void)all_logits(*model, {-1}), Error);
}

TEST(CausalLm, digest_names_the_content) {
  const auto folder = write_llama("digest", false);
  const auto first = load(folder);
  EXPECT_EQ(first->digest().size(), 64u);
  EXPECT_EQ(load(folder, at::kDouble)->digest(), first->digest());
  nn::save_tensors(folder / "model.safetensors", [&] {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const models::NamedWeight& weight : first->weights()) tensors.emplace_back(weight.name, weight.slot->clone());
    tensors.back().second.view({-1})[-1] += 1.0;
    return tensors;
  }());
  EXPECT_NE(load(folder)->digest(), first->digest());
}

TEST(CausalLm, stored_float16_and_bfloat16_load_in_every_dtype) {
  for (const at::ScalarType stored : {at::kHalf, at::kBFloat16}) {
    const auto folder = write_llama("half", false, stored);
    const at::Tensor exact = all_logits(*load(folder, at::kDouble), kIds);
    EXPECT_TRUE(near(all_logits(*load(folder, at::kFloat), kIds), exact, 1e-4));
    EXPECT_TRUE(near(all_logits(*load(folder, at::kBFloat16), kIds), exact, 0.3));
  }
}

TEST(CausalLm, meta_model_has_shapes_without_memory) {
  Warnings warnings(true);
  models::ModelConfig config = models::load_model_config(write_llama("meta", false), warnings);
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.vocab_size = 128256;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 32;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  const auto model = models::make_meta_model(config);
  int64_t parameters = 0;
  for (const models::NamedWeight& weight : model->weights()) {
    EXPECT_TRUE(weight.slot->is_meta());
    parameters += weight.slot->numel();
  }
  EXPECT_EQ(parameters, 8030261248);  // Llama 3.1 8B
}

}  // namespace
}  // namespace morex::test
