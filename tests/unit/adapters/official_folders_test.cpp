// Adapter folders of the methods' own projects: written and read again, names as those projects have them, refusals.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "adapters/adapter_set.h"
#include "adapters/official/table.h"
#include "adapters/official_names.h"
#include "base/files.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "two_blocks.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

const BaseIdentity kBase = {"some/base", "1234abcd"};

struct LayoutCase {
  std::string layout, peft_type;
  Json method;
  std::vector<std::string> names;  // some of the file's, after "…layers.1."
};

void PrintTo(const LayoutCase& layout, std::ostream* out) { *out << layout.layout; }

// Every layout with the names that its project's code gives (shared/spec of the methods).
std::vector<LayoutCase> layout_cases() {
  const Json attention = {"q_proj", "k_proj", "v_proj", "o_proj"}, ffn = {"gate_proj", "up_proj", "down_proj"};
  const auto flat = [](const Json& experts, const Json& router, const Json& targets) {
    Json all = {{"kind", "low_rank_experts"}, {"r", 2}, {"lora_alpha", 6}, {"lora_dropout", 0.1}};
    all.update(experts);
    return Json{{"experts", all}, {"router", router}, {"target_modules", targets}};
  };
  return {
      {"smore",
       "HIER_MOE",
       {{"method", "smore"},
        {"experts",
         {{"ranks", {1, 2}},
          {"pool", {2, 3}},
          {"active", {1, 2}},
          {"alpha", {2.0, 3.0}},
          {"activation", "prelu|0.25"}}},
        {"router",
         {{"gate", "noisy_topk"}, {"gate_dims", {3, 4}}, {"gate_activation", "prelu|0.1"}, {"dim_downproj_x", 5}}}},
       {"mlp.up_proj.moe_A.1", "mlp.up_proj.moe_W.1", "mlp.down_proj.moe_W_final_bias", "mlp.gate_proj.moe_gate.0.keys",
        "mlp.gate_proj.moe_gate.0.mlp.2.bias", "mlp.gate_proj.moe_gate.1.weight_noise.weight",
        "mlp.up_proj.moe_downproj_x.weight", "mlp.up_proj.moe_expert_act_param.0"}},
      {"smore_shared",
       "HIER_MOE",
       {{"method", "smore_shared"}, {"experts", {{"ranks", {2, 2}}, {"pool", {3, 3}}}}},
       {"mlp.up_proj.moe_A.0", "mlp.up_proj.moe_A.1", "mlp.up_proj.moe_B_bias.1", "mlp.up_proj.moe_W.1"}},
      {"trex",
       "LORA",
       {{"method", "trex"}, {"experts", {{"rank_allocation", {2, 3}}}}},
       {"self_attn.q_proj.lora_A.weight", "self_attn.q_proj.router.weight", "self_attn.q_proj.omg.weight",
        "self_attn.q_proj.binary_main_gate_weight.weight"}},
      {"trex",
       "LORA",
       {{"method", "trex"},
        {"experts", {{"rank_allocation", {4, 4}}, {"layout", "matched"}}},
        {"prior", {{"kind", "clusters"}, {"token_coefficient", 32}, {"task_coefficient", 4}, {"use_scores", false}}}},
       {"self_attn.q_proj.omg.weight"}},
      {"trex",
       "LORA",
       {{"experts",
         {{"kind", "rank_one_pairs"}, {"rank_allocation", {8, 8}}, {"layout", "interleaved"}, {"num_experts", 8}}},
        {"router", {{"kind", "pair_softmax"}, {"top_k", 6}}}},
       {"self_attn.q_proj.router.weight"}},
      {"mixlora",
       "MIXLORA",
       {{"method", "mixlora"}, {"r", 2}, {"lora_alpha", 4}, {"experts", {{"num_experts", 3}}}},
       {"mlp.moe_gate.weight", "mlp.gate_proj.experts.2.lora_A.weight", "self_attn.q_proj.lora_B.weight"}},
      {"mixlora",
       "MIXLORA",
       {{"adapters",
         {{{"method", "mixlora"},
           {"r", 2},
           {"use_rslora", true},
           {"target_modules", ffn},
           {"router", {{"kind", "top_p"}, {"top_p", 0.7}}}},
          {{"r", 3}, {"lora_alpha", 6}, {"target_modules", attention}}}}},
       {"mlp.down_proj.experts.7.lora_B.weight", "self_attn.o_proj.lora_A.weight"}},
      {"mixlora",
       "MIXLORA",
       {{"method", "mixlora"},
        {"r", 2},
        {"target_modules", ffn},
        {"router", {{"kind", "switch"}, {"expert_capacity", 5}}}},
       {"mlp.moe_gate.weight"}},
      {"mola",
       "LORA",
       {{"method", "mola"},
        {"r", 2},
        {"experts", {{"num_experts", {2, 4}}}},
        {"rank_pattern", {{R"(layers\.1\..*)", 3}}}},
       {"self_attn.k_proj.router.router.weight", "self_attn.k_proj.lora_A_3.weight", "mlp.down_proj.lora_B_0.weight"}},
      {"mola_moe_peft",
       "MOLA",
       flat({{"num_experts", 4}, {"use_rslora", true}}, {{"kind", "top_k"}, {"top_k", 3}}, attention),
       {"self_attn.q_proj.moe_gate.weight", "self_attn.q_proj.experts.3.lora_A.weight"}},
      {"loramoe",
       "LORA",
       flat({{"num_experts", 4}}, {{"kind", "softmax"}}, ffn),
       {"mlp.up_proj.lora_route.weight", "mlp.up_proj.lora_A3.weight", "mlp.up_proj.lora_B0.weight"}},
      {"loramoe_moe_peft",
       "LORAMOE",
       flat({{"num_experts", 3}}, {{"kind", "softmax"}}, ffn),
       {"mlp.up_proj.moe_gate.weight", "mlp.up_proj.experts.2.lora_B.weight"}},
      {"hydralora",
       "LORA",
       flat({{"num_experts", 3}, {"shared_a", true}}, {{"kind", "softmax"}}, ffn),
       {"mlp.up_proj.lora_A.weight", "mlp.up_proj.lora_B2.weight", "mlp.up_proj.lora_route.weight"}},
      {"moslora",
       "LORA",
       {{"method", "moslora"}, {"r", 2}, {"lora_alpha", 4}},
       {"mlp.up_proj.lora_AB.weight", "self_attn.q_proj.lora_A.weight"}},
      {"adamole",
       "ADAMOLE",
       flat({{"num_experts", 4}}, {{"kind", "threshold"}, {"max_threshold", 0.2}}, attention),
       {"self_attn.q_proj.lora_gating.weight", "self_attn.q_proj.lora_threshold.bias",
        "self_attn.q_proj.lora_A.3.weight"}},
      {"adamole",
       "MOLE",
       flat({{"num_experts", 4}}, {{"kind", "threshold"}, {"threshold", 0.2}}, attention),
       {"self_attn.q_proj.lora_gating.weight"}},
      {"adamole",
       "MOLE",
       flat({{"num_experts", 4}}, {{"kind", "top_k"}, {"top_k", 3}}, attention),
       {"self_attn.q_proj.lora_B.0.weight"}},
      {"moelora",
       "MMOELORA",
       flat({{"num_experts", 2}, {"split_rank", true}}, {{"kind", "task"}, {"tasks", 3}, {"task_dim", 5}}, attention),
       {"self_attn.q_proj.lora_task_embedding.weight", "self_attn.q_proj.lora_gate.GateL.weight",
        "self_attn.q_proj.lora_A.loraA.1.mlp.weight"}},
      {"dynmole",
       "DYNMOLE",
       flat({{"num_experts", 3}}, {{"kind", "entropy"}, {"top_p", 0.6}, {"entropy_type", "renyi"}}, ffn),
       {"mlp.up_proj.moe_gate.weight", "mlp.up_proj.experts.2.lora_B.weight"}},
  };
}

class OfficialFolders : public testing::Test {
 protected:
  std::unique_ptr<AdapterSet> make(const Json& method) {
    auto set = AdapterSet::create(method, model_.slots, at::kFloat, at::kCPU, warnings_);
    set->initialize(3);
    // No tensor is zero, and no two are alike: a wrong place shows.
    const at::NoGradGuard guard;
    double start = 0.0;
    for (const nn::NamedView& view : set->parameters().views()) {
      const at::Tensor value = set->parameters().named_value(view);
      value.copy_(at::sin(at::arange(value.numel(), at::kDouble) * 0.61 + (start += 0.37)).view(value.sizes()));
    }
    return set;
  }
  std::unique_ptr<AdapterSet> load() {
    return AdapterSet::load(folder_, model_.slots, kBase, at::kFloat, at::kCPU, warnings_);
  }
  void save(const Json& method, const std::string& layout) { make(method)->save_official(folder_, kBase, layout); }
  Json config() const { return read_json_file(folder_ / "adapter_config.json"); }
  void edit_config(const std::function<void(Json&)>& edit) {
    Json json = config();
    edit(json);
    write_text_file(folder_ / "adapter_config.json", json.dump());
  }
  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  Named tensors() const {
    const auto file = io::SafetensorsFile::open(folder_ / "adapter_model.safetensors");
    Named all;
    for (const io::StoredTensor& stored : file.tensors())
      all.emplace_back(stored.name, nn::tensor_view(stored).clone());
    return all;
  }
  void write_tensors(const Named& all) const { nn::save_tensors(folder_ / "adapter_model.safetensors", all); }
  // The same tensors under other names, or fewer; "" leaves one out.
  void rename_tensors(const std::function<std::string(const std::string&)>& name) {
    Named renamed;
    for (const auto& [old, value] : tensors())
      if (const std::string other = name(old); !other.empty()) renamed.emplace_back(other, value);
    write_tensors(renamed);
  }
  void expect_refused(const std::vector<std::string>& parts, ErrorKind kind = ErrorKind::kFormat) {
    try {
      load();
      ADD_FAILURE() << "not refused, expected: " << parts.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      for (const std::string& part : parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << part << " is not in: " << error.what();
    }
  }
  void expect_no_place(const Json& method, const std::string& layout, const std::string& part) {
    try {
      save(method, layout);
      ADD_FAILURE() << "not refused, expected: " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  test::TwoBlocks model_;
  Warnings warnings_{false, false};
  fs::path folder_ = test::scratch_dir("official_folders");
};

class EveryLayout : public OfficialFolders, public testing::WithParamInterface<LayoutCase> {};

TEST_P(EveryLayout, Comes_back_bit_for_bit) {
  const LayoutCase& param = GetParam();
  const auto set = make(param.method);
  EXPECT_EQ(set->save_official(folder_, kBase, param.layout), param.layout);
  EXPECT_EQ(config().at("peft_type"), param.peft_type);
  EXPECT_EQ(config().at("base_model_name_or_path"), "some/base");
  const auto loaded = load();
  EXPECT_TRUE(test::same_bits(loaded->parameters().values(), set->parameters().values()));
  for (const auto& [key, message] : warnings_.messages()) EXPECT_EQ(key, "ffn_experts:gates") << message;

  // The same function, not only the same numbers.
  nn::BatchContext ctx;
  ctx.batch = 2, ctx.length = 4;
  ctx.per_sequence["task_ids"] = at::ones({2}, at::kLong);
  ctx.per_sequence["cluster_scores"] = at::sin(at::arange(12, at::kFloat)).view({2, 6});
  const at::Tensor x = at::sin(at::arange(8 * 8, at::kFloat) * 0.3).view({8, 8});
  const at::NoGradGuard guard;
  set->attach();
  const at::Tensor expected = model_.forward(x, ctx);
  set->detach();
  loaded->attach();
  EXPECT_TRUE(test::same_bits(model_.forward(x, ctx), expected));
  loaded->detach();
}

TEST_P(EveryLayout, Has_the_projects_names) {
  const LayoutCase& param = GetParam();
  save(param.method, param.layout);
  const Named file = tensors();
  for (const std::string& name : param.names) {
    const bool found = std::any_of(file.begin(), file.end(),
                                   [&](const auto& tensor) { return tensor.first.ends_with("layers.1." + name); });
    EXPECT_TRUE(found) << name;
  }
  static const std::map<std::string, std::string> prefixes = {{"mixlora", "mixlora.layers."},
                                                              {"mola_moe_peft", "mola.layers."},
                                                              {"loramoe_moe_peft", "loramoe.layers."},
                                                              {"dynmole", "dynmole.layers."}};
  const auto own = prefixes.find(param.layout);
  const std::string prefix = own == prefixes.end() ? "base_model.model.model.layers." : own->second;
  for (const auto& [name, value] : file) EXPECT_TRUE(name.starts_with(prefix)) << name;
}

INSTANTIATE_TEST_SUITE_P(Layouts, EveryLayout, testing::ValuesIn(layout_cases()),
                         [](const auto& info) { return info.param.layout + "_" + std::to_string(info.index); });

TEST_F(OfficialFolders, Every_layout_of_the_table_is_tried) {
  std::set<std::string> tried;
  for (const LayoutCase& layout : layout_cases()) tried.insert(layout.layout);
  for (const OfficialLayout& layout : kOfficialLayouts)
    EXPECT_TRUE(tried.contains(std::string(layout.name))) << layout.name;
}

TEST_F(OfficialFolders, The_first_layout_that_suits_is_taken) {
  const Json mola = {{"method", "mola"}, {"r", 2}};
  EXPECT_EQ(make(mola)->save_official(folder_, kBase, ""), "mola");
  EXPECT_EQ(make({{"method", "loramoe"}, {"r", 2}})->save_official(folder_, kBase, ""), "loramoe");
  expect_no_place(mola, "hydralora", "mola_moe_peft");
  expect_no_place(mola, "molla", "'mola'");
  expect_no_place({{"r", 2}}, "", "no official layout");
  expect_no_place({{"method", "mor"}, {"r", 2}}, "", "mixture_of_routers");
}

TEST_F(OfficialFolders, What_a_layout_cannot_say_is_refused) {
  expect_no_place({{"method", "smore"}, {"prior", {{"kind", "clusters"}}}}, "", "clusters");
  expect_no_place({{"method", "mola"}, {"router", {{"renormalise", false}}}}, "", "renormalise");
  expect_no_place({{"method", "mola"}, {"use_rslora", true}}, "", "use_rslora");
  expect_no_place({{"method", "mola"}, {"rank_pattern", {{"q_proj", 3}}}}, "", "layer 0");
  expect_no_place({{"method", "mola"}, {"alpha_pattern", {{"q_proj", 3}}}}, "", "alpha_pattern");
  expect_no_place({{"method", "mola"}, {"experts", {{"num_experts", {2, 3}}}}}, "mola_moe_peft", "one number");
  expect_no_place({{"method", "mola"}, {"layers", {1}}}, "mola_moe_peft", "names projections of all layers");
  expect_no_place({{"method", "loramoe"}, {"target_modules", {"q_proj"}}}, "loramoe_moe_peft", "feed-forward");
  expect_no_place({{"method", "trex"}, {"prior", {{"token_coefficient", 16}}}}, "", "token_coefficient");
  expect_no_place({{"method", "trex"}, {"experts", {{"rank_allocation", {2, 2}}, {"gate_scale", 10}}}}, "",
                  "gate_scale");
  expect_no_place({{"method", "mixlora"}, {"router", {{"kind", "softmax"}}}}, "", "no official layout");
}

TEST_F(OfficialFolders, MoLA_without_top_k_takes_two_and_says_so) {
  save({{"method", "mola"}, {"r", 2}, {"router", {{"top_k", 3}}}}, "mola");
  EXPECT_EQ(config()["top_k"], 3);
  EXPECT_EQ(config()["r"], (Json{2, 2}));
  // The project's own files have neither.
  edit_config([](Json& json) { json.erase("top_k"), json.erase("number_experts"); });
  const auto loaded = load();
  EXPECT_EQ(loaded->config()["method"]["router"]["top_k"], 2);
  EXPECT_EQ(warnings_.counts().count("mola:top_k"), 1U);
  EXPECT_EQ(loaded->config()["method"]["experts"]["num_experts"], (Json{5, 5}));
}

TEST_F(OfficialFolders, TREX_tells_its_mode_by_the_shapes) {
  save({{"method", "trex"}, {"experts", {{"rank_allocation", {2, 3}}}}}, "trex");
  edit_config([](Json& json) { json.erase("moe_mode"), json.erase("rank1_flex_rank_allocation"); });
  EXPECT_EQ(load()->config()["method"]["experts"]["rank_allocation"], (Json{2, 3}));
  edit_config([](Json& json) { json["moe_mode"] = "rank1"; });
  expect_refused({"moe_mode", "rank1_flex"});
}

TEST_F(OfficialFolders, Legacy_names_of_MixLoRA_are_read) {
  const auto set = make({{"method", "mixlora"}, {"r", 2}});
  set->save_official(folder_, kBase, "mixlora");
  rename_tensors([](std::string name) {
    const auto replace = [&name](const std::string& from, const std::string& to) {
      if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
    };
    replace(".mlp.moe_gate.", ".gate.");
    for (const auto& [ours, legacy] :
         {std::pair{"gate_proj", "w1_proj"}, std::pair{"down_proj", "w2_proj"}, std::pair{"up_proj", "w3_proj"}})
      for (int e = 0; e < 8; ++e)
        replace(fmt::format(".mlp.{}.experts.{}.", ours, e), fmt::format(".experts.{}.{}.", e, legacy));
    return name;
  });
  edit_config([](Json& json) {
    json["routing_strategy"] = "mixtral";
    json["act_fn"] = "silu";
    json["target_modules"] = {"q_proj", "k_proj", "v_proj", "o_proj", "w1_proj", "w2_proj", "w3_proj"};
  });
  EXPECT_TRUE(test::same_bits(load()->parameters().values(), set->parameters().values()));
  edit_config([](Json& json) { json["act_fn"] = "gelu"; });
  expect_refused({"act_fn", "not supported"});
}

TEST_F(OfficialFolders, Aliases_must_be_equal) {
  save({{"method", "smore_shared"}, {"experts", {{"ranks", {2, 2}}}}}, "");
  load();
  const Named changed = tensors();
  for (const auto& [name, value] : changed)
    if (name.ends_with("layers.1.mlp.up_proj.moe_B.1")) value.view({-1})[3] += 1;
  write_tensors(changed);
  expect_refused({"layers.1.mlp.up_proj.moe_B.0", "layers.1.mlp.up_proj.moe_B.1", "must be equal"});
}

TEST_F(OfficialFolders, Aliases_of_AdaMoLE_and_MOELoRA_are_passed_over) {
  const auto check = [&](const Json& method, const std::string& from, const std::string& alias) {
    const auto set = make(method);
    set->save_official(folder_, kBase, "");
    Named twice = tensors();
    const size_t once = twice.size();
    for (size_t i = 0; i < once; ++i) {
      std::string name = twice[i].first;
      if (const size_t at = name.find(from); at != std::string::npos)
        twice.emplace_back(name.replace(at, from.size(), alias), twice[i].second);
    }
    ASSERT_GT(twice.size(), once);
    write_tensors(twice);
    EXPECT_TRUE(test::same_bits(load()->parameters().values(), set->parameters().values()));
  };
  check({{"method", "adamole"}, {"r", 2}}, "q_proj.lora_A.3.", "q_proj.moe_layer.experts.3.lora_A.");
  check({{"method", "moelora"}}, "q_proj.lora_A.loraA.3.mlp.", "q_proj.lora_A.loraA.3.");
}

TEST_F(OfficialFolders, Unknown_and_missing_things_are_refused_in_the_files_own_names) {
  save({{"method", "loramoe"}, {"r", 2}}, "");
  rename_tensors(
      [](const std::string& name) { return name.ends_with("layers.1.mlp.up_proj.lora_B3.weight") ? "" : name; });
  expect_refused({"layers.1.mlp.up_proj.lora_B3.weight is missing"});
  save({{"method", "loramoe"}, {"r", 2}}, "");
  rename_tensors([](const std::string& name) {
    return name.ends_with("layers.1.mlp.up_proj.lora_B3.weight") ? name.substr(0, name.size() - 7) + "x.weight" : name;
  });
  expect_refused({"lora_B3x.weight", "has no"});

  save({{"method", "mola"}, {"r", 2}}, "mola");
  edit_config([](Json& json) { json["peft_type"] = "XLORA"; });
  expect_refused({"peft_type", "HIER_MOE", "XLORA"});
  edit_config([](Json& json) { json["peft_type"] = "LORA", json["r"] = {2}; });
  expect_refused({"r must hold a rank for each", "[2]"});
  edit_config([](Json& json) { json["r"] = {2, 2}, json.erase("target_modules"); });
  expect_refused({"target_modules is missing"});

  save({{"method", "smore"}}, "");
  edit_config([](Json& json) { json["gate_arch"] = "attention"; });
  expect_refused({"gate_arch", "attention"});
  edit_config([](Json& json) { json["gate_arch"] = "mlp", json["lora_scaling"] = {2.0, 1.0}; });
  expect_refused({"lora_scaling"});
  edit_config([](Json& json) { json.erase("lora_scaling"), json["expert_dims"] = 8; });
  expect_refused({"expert_dims must be a list"});

  save({{"method", "mixlora"}, {"r", 2}}, "");
  edit_config([](Json& json) { json["use_dora"] = true; });
  expect_refused({"use_dora", "not supported"});
  edit_config([](Json& json) { json["use_dora"] = false, json["routing_strategy"] = "other"; });
  expect_refused({"routing_strategy", "other"});
  edit_config([](Json& json) { json["routing_strategy"] = "mixlora", json["target_modules"] = {"q_proj", "up_proj"}; });
  expect_refused({"gate_proj, up_proj and down_proj"});
}

TEST_F(OfficialFolders, A_pickled_file_is_read_where_there_is_no_other) {
  // Written by torch: {"base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight": …} and B.
  fs::copy_file(test::source_dir() / "tests/golden/data/torch/adapter_model.bin", folder_ / "adapter_model.bin");
  write_text_file(
      folder_ / "adapter_config.json",
      Json{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 2}, {"target_modules", {"layers.1.self_attn.q_proj"}}}
          .dump());
  const auto set = load();
  const auto& views = set->parameters().views();
  ASSERT_EQ(views.size(), 2U);
  const at::Tensor a = at::arange(16, at::kFloat).view({2, 8}) / 7.0, b = -at::arange(16, at::kFloat).view({8, 2});
  for (const nn::NamedView& view : views)
    EXPECT_TRUE(test::same_bits(set->parameters().named_value(view), view.name.ends_with("lora_A.weight") ? a : b))
        << view.name;
}

}  // namespace
}  // namespace morex::adapters
