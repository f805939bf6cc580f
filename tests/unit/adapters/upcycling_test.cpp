// Experts that start from LoRA adapters: each alone is its LoRA, and what does not fit is refused.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "adapters/adapter_set.h"
#include "adapters/lora_sources.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "two_layers.h"

namespace morex::adapters {
namespace {

namespace fs = std::filesystem;

const BaseIdentity kBase = {"some/base", "1234abcd"};

class Upcycling : public testing::Test {
 protected:
  Upcycling() {
    for (nn::LinearGroup& group : model_.groups) {
      if (group.members.front().module.find("gate_proj") == std::string::npos) continue;
      nn::Mlp& mlp = mlps_.emplace_back();
      mlp.module = group.members.front().module.substr(0, group.members.front().module.rfind('.'));
      mlp.layer = group.layer;
      mlp.gate_up = group;
      mlp.down = *(&group + 1);
    }
    for (nn::Mlp& mlp : mlps_) blocks_.mlps.push_back(&mlp);
    for (nn::Mlp& mlp : mlps_) {
      blocks_.groups.push_back(&mlp.gate_up);
      blocks_.groups.push_back(&mlp.down);
    }
  }

  // A LoRA with numbers of its own, saved in PEFT's layout.
  std::string lora(const std::string& name, const Json& keys) {
    Json method = {{"method", "lora"}, {"r", 3}, {"lora_alpha", 6}};
    method.update(keys);
    const auto set = AdapterSet::create(method, model_.slots, at::kDouble, at::kCPU, warnings_);
    set->initialize(stream_of(name));
    const at::NoGradGuard guard;
    const at::Tensor values = set->parameters().values();
    values.copy_((at::arange(values.numel(), at::kDouble) * 0.37 + static_cast<double>(name.size())).sin());
    set->save(folder_ / name, kBase);
    return (folder_ / name).string();
  }
  static uint64_t stream_of(const std::string& name) { return name.size(); }
  std::unique_ptr<AdapterSet> mixture(const Json& method, nn::SlotTable& slots) {
    auto set = AdapterSet::create(method, slots, at::kDouble, at::kCPU, warnings_, kBase);
    set->initialize(1);
    return set;
  }
  static nn::BatchContext context() {
    nn::BatchContext ctx;
    ctx.batch = 1;
    ctx.length = 5;
    ctx.per_sequence["task_ids"] = at::arange(1, at::kLong);
    return ctx;
  }
  static at::Tensor input(int64_t width) { return (at::arange(5 * width, at::kDouble) * 0.21).cos().view({5, width}); }
  std::vector<at::Tensor> outputs(nn::LinearGroup& group) {
    nn::RoutingReport report;
    return group.forward(input(TwoWidth(group)), context(), report);
  }
  static int64_t TwoWidth(const nn::LinearGroup& group) { return group.members.front().weight.in_features(); }
  // Every router row so large that expert e has all the weight.
  static void choose(const AdapterSet& set, int64_t e, int64_t experts) {
    const at::NoGradGuard guard;
    for (const nn::NamedView& view : set.parameters().views()) {
      if (view.name.find("moe_gate") == std::string::npos) continue;
      const at::Tensor value = set.parameters().named_value(view);
      value.zero_();
      if (view.name.ends_with("task_embedding.weight")) {
        value.fill_(1.0);
      } else {
        ASSERT_EQ(value.size(0), experts);
        value[e].fill_(1e4);
      }
    }
  }
  std::string refusal(const Json& method, ErrorKind kind = ErrorKind::kConfig) {
    try {
      mixture(method, model_.slots);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  }

  test::TwoLayers model_{at::kDouble};
  std::vector<nn::Mlp> mlps_;
  nn::SlotTable blocks_;
  Warnings warnings_{false, false};
  fs::path folder_ = test::scratch_dir("upcycling");
};

// Scales differ: 6/3, 3/√3, and by module.
TEST_F(Upcycling, A_one_hot_router_makes_the_mixture_the_LoRA) {
  const Json folders = {lora("a", Json::object()), lora("bb", {{"lora_alpha", 3}, {"use_rslora", true}}),
                        lora("ccc", {{"alpha_pattern", {{"q_proj", 9}}}})};
  for (const Json& experts :
       std::vector<Json>{{{"kind", "low_rank_experts"}, {"init_from", folders}},
                         {{"kind", "low_rank_experts"}, {"init_from", folders}, {"lora_alpha", 1}},
                         {{"kind", "low_rank_experts"}, {"init_from", folders}, {"execution", "gather"}}}) {
    const auto set = mixture({{"experts", experts}, {"router", {{"kind", "task"}, {"tasks", 1}}}}, model_.slots);
    for (int64_t e = 0; e < 3; ++e) {
      choose(*set, e, 3);
      set->attach();
      std::vector<std::vector<at::Tensor>> mixed, alone;
      for (nn::LinearGroup* group : model_.slots.groups) mixed.push_back(outputs(*group));
      set->detach();
      const auto one = AdapterSet::load(folders[static_cast<size_t>(e)].get<std::string>(), model_.slots, kBase,
                                        at::kDouble, at::kCPU, warnings_);
      one->attach();
      for (nn::LinearGroup* group : model_.slots.groups) alone.push_back(outputs(*group));
      one->detach();
      for (size_t g = 0; g < mixed.size(); ++g)
        for (size_t m = 0; m < mixed[g].size(); ++m)
          EXPECT_TRUE(test::near(mixed[g][m], alone[g][m], 1e-12)) << experts << e;
    }
  }
}

TEST_F(Upcycling, A_one_hot_router_over_feed_forward_experts_is_the_LoRA_on_the_block) {
  const Json ffn = {{"target_modules", {"gate_proj", "up_proj", "down_proj"}}};
  Json other = ffn;
  other["lora_alpha"] = 4.5;
  const Json folders = {lora("a", ffn), lora("bb", other)};
  const auto set = mixture(
      {{"method", "mixlora"}, {"experts", {{"init_from", folders}}}, {"router", {{"kind", "task"}, {"tasks", 1}}}},
      blocks_);
  for (int64_t e = 0; e < 2; ++e) {
    choose(*set, e, 2);
    nn::RoutingReport report;
    set->attach();
    const at::Tensor mixed = mlps_[1].forward(input(test::TwoLayers::kWidth), context(), report);
    set->detach();
    const auto one = AdapterSet::load(folders[static_cast<size_t>(e)].get<std::string>(), blocks_, kBase, at::kDouble,
                                      at::kCPU, warnings_);
    one->attach();
    EXPECT_TRUE(test::near(mixed, mlps_[1].forward(input(test::TwoLayers::kWidth), context(), report), 1e-12)) << e;
    one->detach();
  }
}

TEST_F(Upcycling, The_recipe_may_be_silent_about_what_the_LoRAs_say) {
  const Json keys = {{"r", 2},
                     {"lora_alpha", 5},
                     {"use_rslora", true},
                     {"rank_pattern", {{"q_proj", 4}}},
                     {"target_modules", {"q_proj", "o_proj"}},
                     {"layers_to_transform", {1}}};
  const Json folders = {lora("a", keys), lora("bb", keys)};
  // Over a preset's numbers, too.
  const auto set = mixture({{"method", "mola"}, {"experts", {{"init_from", folders}}}}, model_.slots);
  const Json method = set->config()["method"];
  EXPECT_EQ(method["experts"]["num_experts"], 2);
  EXPECT_EQ(method["experts"]["r"], 2);
  EXPECT_EQ(method["experts"]["lora_alpha"], 5);
  EXPECT_EQ(method["experts"]["use_rslora"], true);
  EXPECT_EQ(method["rank_pattern"], keys["rank_pattern"]);
  EXPECT_EQ(method["layers_to_transform"], Json({1}));
  EXPECT_EQ(method["freeze"], Json({{"experts", true}}));
  EXPECT_EQ(set->costs().size(), 2U);
  set->save(folder_ / "mixture", kBase);
  const auto loaded = AdapterSet::load(folder_ / "mixture", model_.slots, kBase, at::kDouble, at::kCPU, warnings_);
  EXPECT_TRUE(at::equal(loaded->parameters().values(), set->parameters().values()));
  EXPECT_EQ(loaded->config(), set->config());
}

TEST_F(Upcycling, What_does_not_fit_is_refused_with_the_reason) {
  const Json qv = {{"target_modules", {"q_proj", "v_proj"}}};
  Json q = qv, wide = qv, dora = qv, pissa = qv;
  q["target_modules"] = {"q_proj"};
  wide["r"] = 2;
  dora["use_dora"] = true;
  const std::string a = lora("a", qv), b = lora("bb", q), c = lora("ccc", wide), d = lora("dddd", dora);
  const auto method = [](const Json& experts, const Json& more = Json::object()) {
    Json made = {{"method", "mola"}, {"experts", experts}};
    made.update(more);
    return made;
  };
  EXPECT_NE(refusal(method({{"init_from", {a, b}}})).find("every LoRA must adapt model.layers.0.self_attn.v_proj"),
            std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {b, a}}})).find("has no place"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a, c}}})).find("r must be the LoRAs' own rank"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a}}, {"r", 8}})).find("the recipe 8"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a, a}}}, {{"target_modules", "all-linear"}})).find("every LoRA must adapt"),
            std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a}}, {"num_experts", 2}})).find("number of folders"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", Json::array()}})).find("list of adapter folders"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a, a}}, {"shared_a", true}})).find("shared_a"), std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {a}}, {"init_lora_weights", false}})).find("init_lora_weights"),
            std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {d}}}), ErrorKind::kFormat).find("use_dora"), std::string::npos);
  EXPECT_NE(refusal({{"method", "smore"}, {"experts", {{"init_from", {a}}}}}).find("not of kind tree"),
            std::string::npos);
  EXPECT_NE(refusal({{"method", "lora"}, {"experts", {{"init_from", {a}}}}}).find("not of kind low_rank"),
            std::string::npos);
  EXPECT_NE(refusal(method({{"init_from", {(folder_ / "nothing").string()}}}), ErrorKind::kFormat).find("nothing"),
            std::string::npos);
  const auto mola = mixture(method({{"init_from", {a, a}}}), model_.slots);
  mola->save(folder_ / "mixture", kBase);
  EXPECT_NE(
      refusal(method({{"init_from", {(folder_ / "mixture").string()}}}), ErrorKind::kFormat).find("plain LoRA only"),
      std::string::npos);
}

TEST_F(Upcycling, Feed_forward_experts_take_no_attention_LoRA) {
  const std::string a = lora("a", {{"target_modules", {"q_proj", "gate_proj", "up_proj", "down_proj"}}});
  nn::SlotTable slots = blocks_;
  slots.groups.push_back(model_.slots.groups.front());
  try {
    mixture({{"method", "mixlora"}, {"experts", {{"init_from", {a, a}}}}}, slots);
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("q_proj is named too"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::adapters
