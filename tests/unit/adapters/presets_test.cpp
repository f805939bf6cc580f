// Presets against the papers' and official scripts' hyperparameters, number by number, and against the parameter counts
// they publish on LLaMA-2-7B. The rows name where each number stands: spec sections of mor_and_baselines (B), smore (S)
// and trex (T).
#include "adapters/presets.h"

#include <gtest/gtest.h>

#include "../../golden/adapters/meta_layer.h"
#include "adapters/method_config.h"

namespace morex::adapters {
namespace {

const Json kAll = "all-linear", kFfn = {"gate_proj", "up_proj", "down_proj"};

struct Expected {
  const char* name;
  const char* source;
  Json targets;
  Json experts, router, prior;  // keys that must have these values once the preset is spelled out
  Json losses;                  // exactly these
  int64_t llama_2_7b;           // trainable parameters; 0: nobody published the count
};

const Json kNone = {{"kind", "none"}}, kNoLosses = Json::array();
const Json kTop2 = {{"kind", "top_k"}, {"top_k", 2}};
const Json kMolaLoss = {
    {"kind", "balance"}, {"coef", 0.001}, {"scope", "layer"}, {"padding", true}, {"normalised", true}};
const Json kMixLoraLoss = {{"kind", "balance"}, {"coef", 0.01}, {"scope", "model"}};

Json lora_experts(const Json& more = Json::object()) {
  Json made = {{"kind", "low_rank"}, {"r", 8}, {"lora_alpha", 8}};
  made.update(more);
  return made;
}

Json flat(int64_t r, double alpha, double dropout, int64_t experts, const Json& more = Json::object()) {
  Json made = {{"kind", "low_rank_experts"},
               {"r", r},
               {"lora_alpha", alpha},
               {"lora_dropout", dropout},
               {"num_experts", experts}};
  made.update(more);
  return made;
}

Json mixture(const Json& router) { return {{"kind", "mixture_of_routers"}, {"num_routers", 2}, {"router", router}}; }

const std::vector<Expected>& expected() {
  static const std::vector<Expected> all = {
      {"lora", "B 2.1", kAll, lora_experts(), kNone, kNone, kNoLosses, 0},
      {"rslora", "B 2.2", kAll, lora_experts({{"use_rslora", true}}), kNone, kNone, kNoLosses, 0},
      {"dora", "B 2.3", kAll, lora_experts({{"use_dora", true}}), kNone, kNone, kNoLosses, 0},
      {"lora_plus", "B 2.4: ratio 16", kAll, lora_experts(), kNone, kNone, kNoLosses, 0},
      {"pissa", "B 2.5", kAll, lora_experts({{"init_lora_weights", "pissa"}}), kNone, kNone, kNoLosses, 0},
      {"moslora",
       "B 2.11",
       {"q_proj", "k_proj", "v_proj", "up_proj", "down_proj"},
       lora_experts({{"r", 16}, {"lora_alpha", 32}, {"mixer", true}}),
       kNone,
       kNone,
       kNoLosses,
       0},
      {"hydralora",
       "B 2.10",
       kFfn,
       flat(4, 32, 0.05, 4, {{"shared_a", true}}),
       {{"kind", "softmax"}},
       kNone,
       kNoLosses,
       18284544},
      {"loramoe",
       "B 2.8: the constraint is off as shipped",
       kFfn,
       flat(4, 32, 0.05, 8),
       {{"kind", "softmax"}},
       kNone,
       kNoLosses,
       51314688},
      {"mola", "B 2.7: 5 experts a layer are as many as 2-4-6-8; no loss in task training", kAll, flat(8, 16, 0.05, 5),
       kTop2, kNone, kNoLosses, 105635840},
      {"mor",
       "B 1.8, 1.5: MoLA's recipe and loss",
       kAll,
       flat(8, 16, 0.05, 5),
       mixture(kTop2),
       kNone,
       {kMolaLoss},
       113606656},
      {"mixlora",
       "B 2.6",
       kAll,
       {{"kind", "ffn_experts"}, {"r", 16}, {"lora_alpha", 32}, {"lora_dropout", 0.05}, {"num_experts", 8}},
       {{"kind", "top_k"}, {"top_k", 2}, {"init_std", 0.02}},
       kNone,
       {kMixLoraLoss},
       203423744},
      {"mor_mixlora",
       "B 1.6, 2.6",
       kAll,
       {{"kind", "ffn_experts"}, {"r", 16}, {"lora_alpha", 32}, {"lora_dropout", 0.05}, {"num_experts", 8}},
       mixture({{"kind", "top_k"}, {"top_k", 2}, {"init_std", 0.02}}),
       kNone,
       {kMixLoraLoss},
       204734464},
      {"adamole",
       "B 2.12: total rank 32",
       {"q_proj", "k_proj", "v_proj", "o_proj"},
       flat(4, 16, 0.05, 8),
       {{"kind", "threshold"}, {"max_threshold", 0.125}},
       kNone,
       {{{"kind", "balance"}, {"coef", 0.001}, {"scope", "site"}, {"padding", true}}},
       38273152},
      {"dynmole",
       "B 2.9",
       kFfn,
       flat(24, 48, 0.05, 6),
       {{"kind", "entropy"},
        {"top_p", 0.75},
        {"keep_top_k", 2},
        {"entropy_threshold", 0.9},
        {"entropy_type", "tsallis"},
        {"entropy_index", 1.1},
        {"entropy_eps", 1e-5}},
       kNone,
       {{{"kind", "entropy"}, {"coef", 0.01}, {"scope", "model"}, {"padding", true}},
        {{"kind", "balance"}, {"coef", 0.001}, {"scope", "model"}}},
       0},
      {"moelora",
       "B 2.13",
       kAll,
       flat(16, 32, 0.1, 8, {{"split_rank", true}, {"init_std", 0.01}}),
       {{"kind", "task"}, {"tasks", 16}, {"task_dim", 64}},
       kNone,
       kNoLosses,
       0},
      {"smore",
       "S 6 example 2, 8.1",
       kFfn,
       {{"kind", "tree"},
        {"ranks", {8, 16}},
        {"pool", 4},
        {"active", 2},
        {"activation", "tanh"},
        {"init", "w_final_zero"}},
       {{"kind", "tree_keys"},
        {"gate", "switch"},
        {"gate_dims", 32},
        {"gate_activation", "relu"},
        {"dim_downproj_x", 32}},
       kNone,
       {{{"kind", "balance"}, {"coef", 0.01}, {"scope", "site"}}},
       0},
      {"smore_shared",
       "S 2.7, 8.1",
       kFfn,
       {{"kind", "tree"},
        {"ranks", {8, 8}},
        {"pool", 4},
        {"active", 2},
        {"activation", "tanh"},
        {"init", "w_final_zero"},
        {"shared_pool", true}},
       {{"kind", "tree_keys"},
        {"gate", "switch"},
        {"gate_dims", 32},
        {"gate_activation", "relu"},
        {"dim_downproj_x", 32}},
       kNone,
       {{{"kind", "balance"}, {"coef", 0.01}, {"scope", "site"}}},
       0},
      {"trex",
       "T 2, 8; coefficients: trex_test.cpp",
       kAll,
       {{"kind", "rank_one_pairs"}, {"rank_allocation", {4, 8}}},
       {{"kind", "pair_softmax"}},
       {{"kind", "clusters"}},
       kNoLosses,
       51872192},
  };
  return all;
}

TEST(Presets, Have_the_papers_numbers) {
  for (const Expected& row : expected()) {
    SCOPED_TRACE(fmt::format("{} ({})", row.name, row.source));
    const Json method = method_to_json(read_method({{"method", row.name}}));
    EXPECT_EQ(method.at("target_modules"), row.targets);
    for (const auto& [axis, values] :
         {std::pair{"experts", &row.experts}, {"router", &row.router}, {"prior", &row.prior}})
      EXPECT_EQ(method.at(axis), *values) << axis;
    EXPECT_EQ(method.at("losses"), row.losses);
    EXPECT_EQ(method.value("loraplus_lr_ratio", 1.0), row.name == std::string("lora_plus") ? 16.0 : 1.0);
    EXPECT_FALSE(method.contains("freeze"));
    EXPECT_FALSE(method.contains("lr_ratios"));
  }
}

TEST(Presets, Train_as_many_parameters_as_published) {
  const Json llama = {{"hidden", 4096}, {"ffn", 11008}, {"q_width", 4096}, {"kv_width", 4096}};
  for (const Expected& row : expected()) {
    test::MetaLayer layer(llama, 0);
    const int64_t count = layer.count({{"method", row.name}}) * 32;
    if (row.llama_2_7b > 0) {
      EXPECT_EQ(count, row.llama_2_7b) << row.name;
    }
  }
  // S'MoRE's example on LLaMA-3-8B.
  test::MetaLayer layer({{"hidden", 4096}, {"ffn", 14336}, {"q_width", 4096}, {"kv_width", 1024}}, 0);
  EXPECT_EQ(layer.count({{"method", "smore"}}) * 32, 195568640);
}

// Training with a preset must not begin with a warning.
TEST(Presets, Start_without_a_warning) {
  const Json llama = {{"hidden", 64}, {"ffn", 96}, {"q_width", 64}, {"kv_width", 64}};
  for (const Expected& row : expected()) {
    test::MetaLayer layer(llama, 0);
    Warnings warnings(false, false);
    AdapterSet::create({{"method", row.name}}, layer.slots(), at::kFloat, at::kMeta, warnings);
    EXPECT_TRUE(warnings.counts().empty()) << row.name << ": " << warnings.messages().begin()->second;
  }
}

TEST(Presets, Every_one_is_pinned) {
  for (const Expected& row : expected()) EXPECT_NO_THROW(preset(row.name));
  try {
    preset("nothing");
  } catch (const Error& error) {
    const std::string names = error.what();
    for (const Expected& row : expected()) EXPECT_NE(names.find(row.name), std::string::npos);
    EXPECT_EQ(std::count(names.begin(), names.end(), ','), static_cast<std::ptrdiff_t>(expected().size()));
  }
}

}  // namespace
}  // namespace morex::adapters
