#include "adapters/adapter_files.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

const BaseIdentity kBase = {"some/base", "1234abcd"};

class AdapterFiles : public testing::Test {
 protected:
  std::unique_ptr<AdapterSet> make(const Json& method) {
    auto set = AdapterSet::create(method, model_.slots, at::kFloat, at::kCPU, warnings_);
    set->initialize(3);
    return set;
  }
  std::unique_ptr<AdapterSet> load(const BaseIdentity& base = kBase) {
    return AdapterSet::load(folder_, model_.slots, base, at::kFloat, at::kCPU, warnings_);
  }
  std::string refusal(const BaseIdentity& base = kBase) {
    try {
      load(base);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      return error.what();
    }
    return "";
  }
  void edit_config(const std::function<void(Json&)>& edit) {
    Json config = read_json_file(folder_ / "adapter_config.json");
    edit(config);
    write_text_file(folder_ / "adapter_config.json", config.dump());
  }
  // Everything is equal to the last bit after a round trip.
  void expect_round_trip(const Json& method) {
    const auto saved = make(method);
    saved->save(folder_, kBase);
    const auto loaded = load();
    EXPECT_TRUE(test::same_bits(loaded->parameters().values(), saved->parameters().values()));
    EXPECT_EQ(loaded->config(), saved->config());
    ASSERT_EQ(loaded->costs().size(), saved->costs().size());
  }

  test::TwoLayers model_;
  Warnings warnings_{true, false};
  fs::path folder_ = test::scratch_dir("adapter_files");
};

TEST_F(AdapterFiles, Lora_is_in_PEFTs_layout) {
  const auto set = make({{"r", 2}, {"lora_alpha", 6}});
  set->save(folder_, kBase);
  const Json config = read_json_file(folder_ / "adapter_config.json");
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["task_type"], "CAUSAL_LM");
  EXPECT_EQ(config["r"], 2);
  EXPECT_EQ(config["lora_alpha"], 6);
  EXPECT_EQ(config["base_model_name_or_path"], "some/base");
  EXPECT_EQ(config["target_modules"],
            (Json{"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}));
  const auto file = io::SafetensorsFile::open(folder_ / "adapter_model.safetensors");
  EXPECT_EQ(file.tensors().size(), 28U);
  EXPECT_EQ(file.get("base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight").shape,
            (std::vector<int64_t>{4, 2}));
  EXPECT_EQ(file.get("base_model.model.model.layers.1.mlp.down_proj.lora_A.weight").shape,
            (std::vector<int64_t>{2, 12}));
}

TEST_F(AdapterFiles, Round_trips_are_exact) {
  expect_round_trip({{"r", 2}});
  expect_round_trip({{"r", 2},
                     {"use_rslora", true},
                     {"target_modules", {"q_proj", "o_proj"}},
                     {"layers", {1}},
                     {"rank_pattern", {{"q_proj", 3}}},
                     {"alpha_pattern", {{"o_proj", 5}}}});
  expect_round_trip({{"method", "smore"}, {"experts", {{"ranks", {1, 2}}, {"init", "normal"}}}});
  expect_round_trip({{"method", "smore_shared"}, {"experts", {{"activation", "prelu"}}}});
  expect_round_trip({{"adapters",
                      {{{"method", "smore"}, {"experts", {{"ranks", {2}}}}, {"target_modules", {"up_proj"}}},
                       {{"r", 2}, {"target_modules", {"gate_proj", "q_proj"}}}}}});
}

TEST_F(AdapterFiles, Ours_says_what_it_holds) {
  const auto set = make({{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}});
  set->save(folder_, kBase);
  const Json config = read_json_file(folder_ / "adapter_config.json");
  EXPECT_EQ(config["peft_type"], "MOREX");
  EXPECT_EQ(config["format_version"], 1);
  EXPECT_EQ(config["tensors"]["base_model.model.model.layers.0.mlp.up_proj.moe_A.1"], (Json{4, 2, 8}));
  EXPECT_EQ(config["tensors"].size(), set->parameters().views().size());
  edit_config([](Json& json) { json["format_version"] = 9; });
  EXPECT_NE(refusal().find("format_version"), std::string::npos);
}

TEST_F(AdapterFiles, An_adapter_for_another_base_is_refused) {
  make({{"r", 2}})->save(folder_, kBase);
  EXPECT_NE(refusal({"other", "ffff"}).find("1234abcd"), std::string::npos);
  EXPECT_EQ(refusal({"other", ""}), "");  // a base without a digest: the shapes decide
}

TEST_F(AdapterFiles, What_PEFT_can_and_we_cannot_is_refused_by_name) {
  const std::vector<std::pair<std::string, Json>> settings = {{"bias", "all"},
                                                              {"modules_to_save", {"lm_head"}},
                                                              {"lora_bias", true},
                                                              {"init_lora_weights", "pissa_niter_4"},
                                                              {"layer_replication", {{0, 1}}},
                                                              {"target_parameters", {"x"}}};
  for (const auto& [key, value] : settings) {
    make({{"r", 2}})->save(folder_, kBase);
    edit_config([&](Json& json) { json[key] = value; });
    const std::string said = refusal();
    EXPECT_NE(said.find(key), std::string::npos) << said;
    EXPECT_NE(said.find("not supported"), std::string::npos) << said;
  }
}

TEST_F(AdapterFiles, Keys_we_do_not_know_are_said) {
  make({{"r", 2}})->save(folder_, kBase);
  edit_config([](Json& json) {
    json["use_new_thing"] = true;
    json["use_old_thing"] = nullptr;
  });
  Warnings counted(false, false);
  AdapterSet::load(folder_, model_.slots, kBase, at::kFloat, at::kCPU, counted);
  EXPECT_EQ(counted.counts().size(), 1U);
  EXPECT_EQ(counted.counts().count("adapter_config:use_new_thing"), 1U);
}

TEST_F(AdapterFiles, Integer_tensors_are_refused) {
  const auto set = make({{"r", 2}, {"target_modules", {"lm_head"}}});
  set->save(folder_, kBase);
  nn::save_tensors(folder_ / "adapter_model.safetensors",
                   {{"base_model.model.lm_head.lora_A.weight", at::ones({2, 8})},
                    {"base_model.model.lm_head.lora_B.weight", at::ones({16, 2}, at::kInt)}});
  EXPECT_NE(refusal().find("I32"), std::string::npos);
}

}  // namespace
}  // namespace morex::adapters
