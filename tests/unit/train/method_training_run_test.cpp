// Whole runs with what belongs to a method's training: frozen steps, temperatures and jitter, experts from LoRAs.
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/files.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::adapter_bytes;
using test::run;
using test::TinyRun;

Json mola(const Json& more = Json::object()) {
  // The loss moves the routers from the first step on, when B is still zero.
  Json recipe = {{"method", "mola"},
                 {"experts", {{"r", 4}, {"num_experts", 3}}},
                 {"losses", {{{"kind", "balance"}, {"coef", 0.1}}}},
                 {"weight_decay", 0.1}};
  recipe.update(more);
  return recipe;
}

// Whether any tensor with `part` in its name differs between the adapters of two folders.
bool moved(const fs::path& before, const fs::path& after, const std::string& part) {
  const auto a = io::SafetensorsFile::open(before / "adapter_model.safetensors"),
             b = io::SafetensorsFile::open(after / "adapter_model.safetensors");
  int64_t seen = 0;
  bool differs = false;
  for (const io::StoredTensor& tensor : a.tensors()) {
    if (tensor.name.find(part) == std::string::npos) continue;
    ++seen;
    differs = differs || !at::equal(nn::tensor_view(tensor), nn::tensor_view(b.get(tensor.name)));
  }
  EXPECT_GT(seen, 0) << part;
  return differs;
}

TEST(MethodTraining, What_is_frozen_stays_and_moves_again) {
  const TinyRun tiny("freeze");
  const Json every = {
      {"save_steps", 1}, {"save_total_limit", 0}, {"freeze", {{"router", {2, 4}}, {"experts", {0, 1}}}}};
  run(tiny.recipe("out", mola(every)));
  const auto at_step = [&](int64_t step) { return tiny.output("out") / ("checkpoint-" + std::to_string(step)); };
  for (int64_t step = 1; step < 6; ++step) {  // the update with index `step`
    EXPECT_EQ(moved(at_step(step), at_step(step + 1), "moe_gate"), step != 2 && step != 3) << step;
    EXPECT_TRUE(moved(at_step(step), at_step(step + 1), "lora_A")) << step;
  }
  Json open = every;
  open["freeze"] = {{"experts", {3, -1}}};
  run(tiny.recipe("open", mola(open)));
  const auto other = [&](int64_t step) { return tiny.output("open") / ("checkpoint-" + std::to_string(step)); };
  EXPECT_TRUE(moved(other(2), other(3), "lora_B"));
  EXPECT_FALSE(moved(other(3), other(6), "lora_B"));
  EXPECT_FALSE(moved(other(3), other(6), "lora_A"));
  EXPECT_TRUE(moved(other(3), other(6), "moe_gate"));
}

// The norm that is logged and clipped with is that of what is trained.
TEST(MethodTraining, The_norm_does_not_count_what_is_frozen) {
  const TinyRun tiny("freeze_norm");
  const auto norm_of = [&](const std::string& name, const Json& freeze) {
    run(tiny.recipe(name, mola({{"freeze", freeze}, {"max_steps", 1}, {"max_grad_norm", 0}})));
    return test::lines_with(tiny.output(name) / "metrics.jsonl", "grad_norm").front()["grad_norm"].get<double>();
  };
  const double all = norm_of("all", Json::object()), experts = norm_of("experts", {{"router", true}}),
               router = norm_of("router", {{"experts", true}});
  EXPECT_GT(experts, 0.0);
  EXPECT_GT(router, 0.0);
  EXPECT_NEAR(all * all, experts * experts + router * router, 1e-6 * all * all);
}

TEST(MethodTraining, Frozen_steps_and_soft_routers_resume_bit_for_bit) {
  for (
      const char* router :
      {R"({"kind": "top_k", "logit_temperature": [3, 0.5], "jitter_noise": 0.2})",
       R"({"kind": "mixture_of_routers", "router": {"kind": "top_k", "logit_temperature": [2, 1], "jitter_noise": 0.1}})"}) {
    const TinyRun tiny("soft_resume");
    Json more = mola({{"router", parse_json(router, "test")},
                      {"freeze", {{"router", {1, 4}}}},
                      {"lr_ratios", {{"router", 5}, {"experts", 0.5}}},
                      {"save_steps", 1},
                      {"save_total_limit", 0}});
    run(tiny.recipe("whole", more));
    for (const int64_t cut : {2, 5}) {
      more["resume_from_checkpoint"] = (tiny.output("whole") / ("checkpoint-" + std::to_string(cut))).string();
      run(tiny.recipe("again", more));
      EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("whole"))) << router << cut;
    }
    more["freeze"] = {{"router", {1, 5}}};
    EXPECT_THROW(run(tiny.recipe("again", more)), Error) << "another schedule is another run";
    fs::remove_all(tiny.folder());
  }
}

TEST(MethodTraining, A_rate_ratio_is_a_rate) {
  // With the other axes frozen a ratio of 2 is twice the learning rate, weight decay included.
  const TinyRun tiny("ratio");
  const Json freeze = {{"experts", true}};
  run(tiny.recipe("ratio", mola({{"freeze", freeze}, {"lr_ratios", {{"router", 2}}}})));
  run(tiny.recipe("rate", mola({{"freeze", freeze}, {"learning_rate", 2e-2}})));
  EXPECT_FALSE(moved(tiny.output("ratio"), tiny.output("rate"), "moe_gate"));
  run(tiny.recipe("plain", mola({{"freeze", freeze}})));
  EXPECT_TRUE(moved(tiny.output("ratio"), tiny.output("plain"), "moe_gate"));
}

TEST(MethodTraining, Experts_from_LoRAs_stay_while_their_router_learns) {
  const TinyRun tiny("upcycling");
  const Json lora = {{"r", 4}, {"lora_alpha", 8}, {"target_modules", {"q_proj", "up_proj"}}};
  for (int64_t seed : {1, 2}) {
    Json one = lora;
    one["seed"] = seed;
    run(tiny.recipe("lora" + std::to_string(seed), one));
  }
  const Json folders = {tiny.output("lora1").string(), tiny.output("lora2").string()};
  Json recipe = tiny.recipe(
      "out", {{"method", "mola"}, {"experts", {{"init_from", folders}}}, {"save_steps", 2}, {"save_total_limit", 0}});
  recipe.erase("target_modules");  // the LoRAs' own
  run(recipe);
  const auto at_step = [&](int64_t step) { return tiny.output("out") / ("checkpoint-" + std::to_string(step)); };
  EXPECT_TRUE(moved(at_step(2), at_step(6), "moe_gate"));
  EXPECT_FALSE(moved(at_step(2), at_step(6), "experts."));
  const Json config = read_json_file(tiny.output("out") / "adapter_config.json");
  EXPECT_FALSE(config["method"]["experts"].contains("init_from"));
  EXPECT_EQ(config["method"]["experts"]["num_experts"], 2);

  // Every expert is its LoRA, bit for bit where the scales agree.
  const auto mixture = io::SafetensorsFile::open(tiny.output("out") / "adapter_model.safetensors");
  for (const int64_t e : {0, 1}) {
    const auto alone =
        io::SafetensorsFile::open(tiny.output("lora" + std::to_string(e + 1)) / "adapter_model.safetensors");
    for (const io::StoredTensor& tensor : alone.tensors()) {
      std::string name = tensor.name;
      name.insert(name.find("lora_"), "experts." + std::to_string(e) + ".");
      EXPECT_TRUE(at::equal(nn::tensor_view(tensor), nn::tensor_view(mixture.get(name)))) << name;
    }
  }
  recipe["output_dir"] = tiny.output("again").string();
  recipe["resume_from_checkpoint"] = at_step(4).string();
  run(recipe);
  EXPECT_EQ(adapter_bytes(tiny.output("again")), adapter_bytes(tiny.output("out")));

  // Told so, the experts are trained too.
  recipe.erase("resume_from_checkpoint");
  recipe["freeze"] = {{"experts", false}};
  run(recipe);
  EXPECT_TRUE(moved(tiny.output("out"), tiny.output("again"), "experts."));
}

TEST(MethodTraining, LoRAs_of_another_base_are_refused) {
  const TinyRun tiny("upcycling_base");
  run(tiny.recipe("lora", {{"r", 4}, {"max_steps", 1}}));
  const fs::path file = tiny.output("lora") / "adapter_model.safetensors";
  std::string bytes = read_text_file(file);
  const size_t digest = bytes.find("morex_base_digest\":\"") + 20;
  bytes[digest] = bytes[digest] == '0' ? '1' : '0';
  write_text_file(file, bytes);
  try {
    run(tiny.recipe("out", {{"method", "mola"}, {"experts", {{"init_from", {tiny.output("lora").string()}}}}}));
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("made for this base"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::train
