// A model whose linear weights are held in eight bits.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/files.h"
#include "golden/models/model_runs.h"
#include "nn/tensor_file.h"
#include "ops/int8_blocks.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

fs::path base() { return source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf"; }

std::unique_ptr<models::CausalLm> load(const fs::path& path, at::ScalarType dtype, bool in_8bit) {
  Warnings warnings(true);
  return models::load_model(path, {dtype, at::kCPU, in_8bit}, warnings);
}

std::vector<nn::LinearMember*> members(models::CausalLm& model) {
  std::vector<nn::LinearMember*> all;
  for (nn::LinearGroup* group : model.slots().groups)
    for (nn::LinearMember& member : group->members) all.push_back(&member);
  return all;
}

// The base's folder with one tensor changed.
template <typename Change>
fs::path changed_base(const std::string& name, const std::string& tensor, at::ScalarType stored, const Change& change) {
  const fs::path folder = scratch_dir("int8_" + name);
  write_text_file(folder / "config.json", read_text_file(base() / "config.json"));
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto model = load(base(), at::kFloat, false);
  for (const models::NamedWeight& weight : model->weights()) {
    at::Tensor values = weight.slot->clone();
    if (weight.name == tensor) change(values);
    tensors.emplace_back(weight.name, values.to(stored));
  }
  nn::save_tensors(folder / "model.safetensors", tensors);
  return folder;
}

std::string refusal(const fs::path& folder, at::ScalarType dtype, ErrorKind kind) {
  try {
    (void)load(folder, dtype, true);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "was loaded";
  return "";
}

double mean_distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().mean().item<double>();
}

constexpr const char* kGate = "model.layers.1.mlp.gate_proj.weight";
const std::vector<int64_t> kIds = {3, 1, 4, 1, 5, 9, 2, 6};

TEST(Int8Model, HoldsTheLayersLinearWeightsInBlocksAndNothingElse) {
  const auto model = load(base(), at::kFloat, true), plain = load(base(), at::kFloat, false);
  EXPECT_TRUE(model->in_8bit());
  EXPECT_FALSE(plain->in_8bit());
  EXPECT_EQ(model->digest(), plain->digest());  // the same files
  double bytes = 0, elements = 0;
  const auto ours = members(*model), theirs = members(*plain);
  ASSERT_EQ(ours.size(), 15u);  // 7 of each of 2 layers, and the head
  for (size_t i = 0; i < ours.size(); ++i) {
    const nn::LinearWeight &weight = ours[i]->weight, &dense = theirs[i]->weight;
    EXPECT_FALSE(dense.in_8bit());
    EXPECT_EQ(weight.in_8bit(), ours[i]->module != "lm_head") << ours[i]->module;
    if (!weight.in_8bit()) continue;
    const ops::Int8Blocks expected = ops::quantize_int8(dense.value);
    EXPECT_TRUE(same_bits(weight.value, expected.values)) << ours[i]->module;
    EXPECT_TRUE(same_bits(weight.scales, expected.scales)) << ours[i]->module;
    bytes += static_cast<double>(weight.value.nbytes() + weight.scales.nbytes());
    elements += static_cast<double>(weight.value.numel());
  }
  EXPECT_EQ(bytes / elements, 1.0625);
  for (size_t i = 0; i < model->weights().size(); ++i) {
    const models::NamedWeight &weight = model->weights()[i], &dense = plain->weights()[i];
    EXPECT_EQ(weight.name, dense.name);
    EXPECT_EQ(weight.slot->sizes(), dense.slot->sizes()) << weight.name;
    if (weight.slot->scalar_type() == at::kChar) continue;
    EXPECT_TRUE(same_bits(*weight.slot, *dense.slot)) << weight.name;
  }
}

TEST(Int8Model, ComputesWithTheWeightsThatTheBlocksStandFor) {
  const auto model = load(base(), at::kFloat, true), dense = load(base(), at::kFloat, false);
  const at::Tensor before = all_logits(*dense, kIds);
  const auto ours = members(*model), theirs = members(*dense);
  for (size_t i = 0; i < ours.size(); ++i) {
    theirs[i]->weight.value = ours[i]->weight.rows(0, ours[i]->weight.out_features(), at::kFloat);
  }
  EXPECT_TRUE(near(all_logits(*model, kIds), all_logits(*dense, kIds), 1e-4));
  EXPECT_LT(mean_distance(all_logits(*model, kIds), before), 0.15);
  EXPECT_FALSE(near(all_logits(*model, kIds), before, 1e-5));
  EXPECT_LT(mean_distance(all_logits(*load(base(), at::kBFloat16, true), kIds), all_logits(*dense, kIds)), 0.1);
  EXPECT_EQ(greedy(*model, kIds, 12, true), greedy(*model, kIds, 12, false));  // row by row through the cache
}

TEST(Int8Model, BlocksDoNotDependOnTheDtypeOfTheLoad) {
  for (const at::ScalarType stored : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    const fs::path folder = changed_base("stored", "", stored, [](const at::Tensor&) {});
    const auto model = load(folder, at::kFloat, true), narrow = load(folder, at::kBFloat16, true);
    const auto ours = members(*model), theirs = members(*narrow);
    for (size_t i = 0; i + 1 < ours.size(); ++i) {
      EXPECT_TRUE(same_bits(ours[i]->weight.value, theirs[i]->weight.value)) << at::toString(stored);
      EXPECT_TRUE(same_bits(ours[i]->weight.scales, theirs[i]->weight.scales)) << at::toString(stored);
    }
  }
}

TEST(Int8Model, WhatHasNoBlocksIsRefusedByName) {
  for (const at::ScalarType stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const fs::path nan = changed_base("nan", kGate, stored, [](const at::Tensor& w) {
      w.view({-1})[37].fill_(std::numeric_limits<double>::quiet_NaN());
    });
    const std::string message = refusal(nan, at::kFloat, ErrorKind::kFormat);
    EXPECT_NE(message.find(std::string(kGate) + " must be finite, got "), std::string::npos) << message;
  }
  const fs::path huge =
      changed_base("huge", kGate, at::kFloat, [](const at::Tensor& w) { w.view({-1})[5].fill_(1e7); });
  const std::string message = refusal(huge, at::kFloat, ErrorKind::kFormat);
  EXPECT_NE(message.find(std::string(kGate) + " must stay below 8.3e6"), std::string::npos) << message;
  EXPECT_NO_THROW((void)load(huge, at::kFloat, false));
}

TEST(Int8Model, Float64IsRefused) {
  EXPECT_NE(refusal(base(), at::kDouble, ErrorKind::kConfig).find("load_in_8bit"), std::string::npos);
}

TEST(Int8Model, MetaModelKnowsItsBytes) {
  Warnings warnings(true);
  const auto config = models::load_model_config(base(), warnings);
  const auto meta = models::make_meta_model(config, true), model = load(base(), at::kFloat, true);
  const auto ours = members(*meta), real = members(*model);
  ASSERT_EQ(ours.size(), real.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i]->weight.value.nbytes(), real[i]->weight.value.nbytes());
    EXPECT_EQ(ours[i]->weight.in_8bit(), real[i]->weight.in_8bit());
    if (!ours[i]->weight.in_8bit()) continue;
    EXPECT_EQ(ours[i]->weight.scales.nbytes(), real[i]->weight.scales.nbytes());
  }
}

}  // namespace
}  // namespace morex::test
