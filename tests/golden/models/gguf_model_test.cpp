// GGUF models against their Hugging Face twins, and broken ones.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "golden/models/model_runs.h"
#include "golden/models/variant_cases.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

std::filesystem::path gguf_dir() { return golden_dir() / "gguf"; }

// The field that names an entry, over all entries that `keep` accepts.
template <typename Keep>
std::vector<std::string> names_in(const char* file, const char* list, const char* field, Keep keep) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(gguf_dir() / file)) return names;
  Json json = read_json_file(gguf_dir() / file);
  for (const Json& entry : list == nullptr ? json : json.at(list)) {
    if (keep(entry)) names.push_back(entry.at(field).get<std::string>());
  }
  return names;
}

std::unique_ptr<models::CausalLm> load(const std::filesystem::path& path, at::ScalarType dtype) {
  Warnings warnings(true);
  return models::load_model(path, {dtype, test_device()}, warnings);
}

class GgufModel : public testing::TestWithParam<std::string> {};

TEST_P(GgufModel, agrees_with_its_twin_and_the_reference) {
  const Json facts = read_json_file(gguf_dir() / "llama.json");
  Json variant;
  for (const Json& one : facts.at("variants")) {
    if (one.at("file") == GetParam()) variant = one;
  }
  const auto model = load(gguf_dir() / GetParam(), at::kFloat);
  const auto twin = load(gguf_dir() / variant.at("hf_dir").get<std::string>(), at::kFloat);
  ASSERT_EQ(model->weights().size(), twin->weights().size());
  for (size_t i = 0; i < model->weights().size(); ++i) {
    EXPECT_EQ(model->weights()[i].name, twin->weights()[i].name);
    EXPECT_TRUE(same_bits(*model->weights()[i].slot, *twin->weights()[i].slot)) << model->weights()[i].name;
  }
  // Rotary divisors stored in float32 round once more than the twin's formula.
  const bool same_rotation = model->config().rope_scaling.frequency_divisors.empty();
  const GoldenTensors expected(gguf_dir() / variant.at("expected").get<std::string>());
  size_t compared = 0;
  for (size_t p = 0; p < facts.at("prompts").size(); ++p) {
    const auto ids = facts.at("prompts")[p].get<std::vector<int64_t>>();
    const at::Tensor logits = all_logits(*model, ids);  // [L, V]
    const std::string name = "prompt" + std::to_string(p);
    const at::Tensor rows = expected.get(name + ".logits");
    EXPECT_TRUE(near(logits.narrow(0, logits.size(0) - rows.size(0), rows.size(0)), rows, 2e-4)) << name;
    EXPECT_TRUE(near(logits.logsumexp(1), expected.get(name + ".logsumexp"), 2e-4)) << name;
    if (same_rotation) {
      EXPECT_TRUE(same_bits(logits, all_logits(*twin, ids))) << name;
    }
    ++compared;
  }
  EXPECT_GT(compared, 0u);
}

TEST_P(GgufModel, loads_in_float64) {
  const auto model = load(gguf_dir() / GetParam(), at::kDouble);
  const auto single = load(gguf_dir() / GetParam(), at::kFloat);
  const std::vector<int64_t> ids = {5, 17, 250, 33, 99};
  EXPECT_TRUE(near(all_logits(*single, ids), all_logits(*model, ids), 2e-4));
}

// In eight bits a model of Q8_0 is the model itself, row order of q and k included; of other types it is near.
TEST_P(GgufModel, loads_in_8_bits) {
  Warnings warnings(true);
  const auto plain = load(gguf_dir() / GetParam(), at::kFloat);
  const auto model = models::load_model(gguf_dir() / GetParam(), {at::kFloat, test_device(), true}, warnings);
  const bool same = GetParam() == "llama_q8_0.gguf";
  for (size_t g = 0; g < model->slots().groups.size(); ++g) {
    for (size_t m = 0; m < model->slots().groups[g]->members.size(); ++m) {
      const nn::LinearMember& member = model->slots().groups[g]->members[m];
      if (!member.weight.in_8bit()) continue;
      const at::Tensor w = member.weight.rows(0, member.weight.out_features(), at::kFloat);
      const at::Tensor& expected = plain->slots().groups[g]->members[m].weight.value;
      if (same) {
        EXPECT_TRUE(same_bits(w, expected)) << member.module;
      } else {
        EXPECT_TRUE(near(w, expected, 0.51 / 127 * expected.abs().max().item<double>())) << member.module;
      }
    }
  }
  const std::vector<int64_t> ids = {5, 17, 250, 33, 99};
  const at::Tensor logits = all_logits(*model, ids), expected = all_logits(*plain, ids);
  if (same) {
    EXPECT_TRUE(near(logits, expected, 2e-4));
  } else {  // random weights: each is off by up to 0.4 % of its block's largest
    EXPECT_LT((logits - expected).norm().item<double>(), 0.1 * expected.norm().item<double>());
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GgufModel);
INSTANTIATE_TEST_SUITE_P(Golden, GgufModel,
                         testing::ValuesIn(names_in("llama.json", "variants", "file",
                                                    [](const Json&) { return true; })),
                         case_name);

class GgufBadModel : public testing::TestWithParam<std::string> {};

TEST_P(GgufBadModel, is_refused_by_name) {
  Json expected;
  for (const Json& one : read_json_file(gguf_dir() / "bad.json")) {
    if (one.at("file") == GetParam()) expected = one;
  }
  Warnings warnings(false, false);
  std::string error;
  try {
    (void)models::load_model(gguf_dir() / GetParam(), {at::kFloat, test_device()}, warnings);
  } catch (const Error& caught) {
    error = caught.what();
    EXPECT_EQ(caught.kind(), ErrorKind::kFormat);
  }
  ASSERT_NE(error, "");
  EXPECT_NE(error.find(std::filesystem::path(GetParam()).filename().string()), std::string::npos) << error;
  std::string lower = error;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  bool mentioned = false;
  for (const Json& word : expected.at("message_should_mention_any_of")) {
    std::string wanted = word.get<std::string>();
    std::transform(wanted.begin(), wanted.end(), wanted.begin(), [](unsigned char c) { return std::tolower(c); });
    mentioned = mentioned || lower.find(wanted) != std::string::npos;
  }
  EXPECT_TRUE(mentioned) << error;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GgufBadModel);
INSTANTIATE_TEST_SUITE_P(Golden, GgufBadModel,
                         testing::ValuesIn(names_in("bad.json", nullptr, "file",
                                                    [](const Json& one) { return one.at("stage") == "model"; })),
                         case_name);

TEST(GgufModels, sound_twin_of_the_broken_files_loads) {
  const auto path = gguf_dir() / "bad_twin_ok.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  EXPECT_EQ(load(path, at::kFloat)->config().num_hidden_layers, 1);
}

}  // namespace
}  // namespace morex::test
