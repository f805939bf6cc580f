// lr_ratios and freeze: which part of the flat buffer gets what, and what is refused.
#include "adapters/training_rules.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <map>

#include "adapters/adapter_set.h"
#include "adapters/method_config.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

constexpr int64_t kForever = nn::LeafOptions::kForever;

Json mola(const Json& more) {
  Json method = {{"target_modules", {"q_proj", "k_proj"}},
                 {"experts", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 3}}},
                 {"router", {{"kind", "top_k"}}},
                 {"prior", {{"kind", "clusters"}}}};
  method.update(more);
  return method;
}

// The settings of every element of every named tensor of layer 0; all of one tensor must agree.
std::map<std::string, nn::LeafOptions> options_by_name(const Json& method) {
  test::TwoLayers model;
  Warnings warnings(false, false);
  const auto set = AdapterSet::create(method, model.slots, at::kFloat, at::kCPU, warnings);
  nn::ParameterStore& store = set->parameters();
  std::map<std::string, nn::LeafOptions> found;
  for (const nn::NamedView& view : store.views()) {
    const std::string prefix = "base_model.model.model.layers.0.self_attn.";
    if (!view.name.starts_with(prefix)) continue;
    // Which elements of the buffer the name stands for: mark them through the view.
    store.values().zero_();
    store.named_value(view).fill_(1.0);
    for (const nn::Segment& part : store.leaves()[static_cast<size_t>(view.leaf)].segments) {
      const auto marked = store.values().narrow(0, part.offset, part.size).sum().item<double>();
      if (marked == 0.0) continue;
      EXPECT_EQ(marked, static_cast<double>(store.named_value(view).numel())) << view.name << " lies in two segments";
      found[view.name.substr(prefix.size())] = part.options;
    }
  }
  return found;
}

TEST(TrainingRules, Every_axis_has_its_own_rate) {
  const auto options =
      options_by_name(mola({{"lr_ratios", {{"router", 3}, {"prior", 0.5}}}, {"loraplus_lr_ratio", 16}}));
  for (const char* projection : {"q_proj.", "k_proj."}) {
    const std::string p = projection;
    EXPECT_EQ(options.at(p + "moe_gate.weight").lr_factor, 3.0);
    EXPECT_EQ(options.at(p + "omg.weight").lr_factor, 0.5);
    for (int64_t e = 0; e < 3; ++e) {
      EXPECT_EQ(options.at(p + "experts." + std::to_string(e) + ".lora_A.weight").lr_factor, 1.0);
      EXPECT_EQ(options.at(p + "experts." + std::to_string(e) + ".lora_B.weight").lr_factor, 16.0);
    }
  }
  const auto fast = options_by_name(mola({{"lr_ratios", {{"experts", 2}}}, {"loraplus_lr_ratio", 4}}));
  EXPECT_EQ(fast.at("q_proj.experts.1.lora_A.weight").lr_factor, 2.0);
  EXPECT_EQ(fast.at("q_proj.experts.1.lora_B.weight").lr_factor, 8.0);
  EXPECT_EQ(fast.at("q_proj.moe_gate.weight").lr_factor, 1.0);
}

TEST(TrainingRules, Frozen_steps_are_an_interval_or_the_whole_run) {
  const auto options =
      options_by_name(mola({{"freeze", {{"router", {10, -1}}, {"experts", {0, 50}}, {"prior", true}}}}));
  const nn::LeafOptions router = options.at("k_proj.moe_gate.weight"), b = options.at("q_proj.experts.0.lora_B.weight"),
                        omega = options.at("q_proj.omg.weight");
  EXPECT_EQ(std::pair(router.frozen_from, router.frozen_until), std::pair(int64_t{10}, kForever));
  EXPECT_EQ(std::pair(b.frozen_from, b.frozen_until), std::pair(int64_t{0}, int64_t{50}));
  EXPECT_EQ(std::pair(omega.frozen_from, omega.frozen_until), std::pair(int64_t{0}, kForever));
  EXPECT_FALSE(router.frozen(9));
  EXPECT_TRUE(router.frozen(10));
  EXPECT_TRUE(b.frozen(49));
  EXPECT_FALSE(b.frozen(50));
}

// Two methods in one group of projections: their rows lie in one leaf.
TEST(TrainingRules, Methods_that_share_an_input_keep_their_own_rules) {
  Json q = mola({{"lr_ratios", {{"router", 3}}}}),
       k = mola({{"lr_ratios", {{"experts", 5}}}, {"freeze", {{"router", true}}}});
  q["target_modules"] = {"q_proj"};
  k["target_modules"] = {"k_proj"};
  const auto options = options_by_name({{"adapters", {q, k}}});
  EXPECT_EQ(options.at("q_proj.experts.2.lora_A.weight").lr_factor, 1.0);
  EXPECT_EQ(options.at("q_proj.moe_gate.weight").lr_factor, 3.0);
  EXPECT_EQ(options.at("k_proj.experts.0.lora_A.weight").lr_factor, 5.0);
  EXPECT_EQ(options.at("k_proj.moe_gate.weight").frozen_until, kForever);
  EXPECT_EQ(options.at("q_proj.moe_gate.weight").frozen_until, 0);
}

TEST(TrainingRules, They_are_written_as_they_were_read) {
  for (const Json& more : std::vector<Json>{{{"lr_ratios", {{"router", 3.0}}}},
                                            {{"freeze", {{"experts", true}, {"router", {3, 9}}, {"prior", {5, -1}}}}},
                                            {{"freeze", {{"experts", false}}}, {"loraplus_lr_ratio", 2.0}}}) {
    const Json once = method_to_json(read_method(mola(more)));
    for (const auto& [key, value] : more.items()) EXPECT_EQ(once.at(key), value);
    EXPECT_EQ(method_to_json(read_method(once)), once);
  }
  EXPECT_FALSE(method_to_json(read_method(mola(Json::object()))).contains("freeze"));
}

TEST(TrainingRules, What_has_no_meaning_is_refused) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {mola({{"lr_ratios", {{"routers", 2}}}}), "'router'"},
      {mola({{"lr_ratios", {{"router", 0}}}}), "lr_ratios.router"},
      {mola({{"lr_ratios", 2}}), "must be a mapping"},
      {mola({{"freeze", {{"router", {5, 5}}}}}), "until above from"},
      {mola({{"freeze", {{"router", {-1, 5}}}}}), "freeze.router"},
      {mola({{"freeze", {{"router", {1.5, 5}}}}}), "freeze.router"},
      {mola({{"freeze", {{"router", 7}}}}), "freeze.router"},
      {mola({{"freeze", {{"router", true}, {"experts", true}, {"prior", true}}}}), "something must be trained"},
      {{{"method", "lora"}, {"freeze", {{"router", true}}}}, "router has nothing to train"},
      {{{"method", "mola"}, {"lr_ratios", {{"prior", 2}}}}, "prior has nothing to train"},
      {{{"method", "lora"}, {"freeze", {{"experts", true}}}}, "something must be trained"}};
  for (const auto& [method, named] : cases) {
    try {
      options_by_name(method);
      ADD_FAILURE() << method.dump() << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace morex::adapters
