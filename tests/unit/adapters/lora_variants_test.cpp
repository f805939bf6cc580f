// MoSLoRA, DoRA, PiSSA and LoRA+: their identities with LoRA, and what they refuse.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../golden/adapters/one_site.h"
#include "adapters/adapter_files.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::adapters {
namespace {

at::Tensor numbers(at::IntArrayRef shape, double step) {
  return (at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble) * step).sin().view(shape);
}

struct Lora : test::OneSite {
  explicit Lora(Json keys, bool transposed = false)
      : OneSite(numbers({5, 6}, 0.7), numbers({5}, 0.3), with_method(std::move(keys))) {
    set->detach();
    nn::LinearWeight& weight = group.members[0].weight;
    if (transposed) weight = {weight.value.t().contiguous(), true};
    set->initialize(1);
    set->attach();
    const at::NoGradGuard guard;
    if (names().size() > 1) value("lora_B.weight").copy_(numbers({5, 3}, 0.11));
  }
  explicit Lora(const char* method, bool transposed = false)
      : Lora(Json(Json::object({{"method", method}})), transposed) {}
  static Json with_method(Json keys) {
    if (!keys.contains("method")) keys["method"] = "lora";
    keys["r"] = 3;
    keys["lora_alpha"] = 6;
    return keys;
  }
  at::Tensor run() {
    nn::BatchContext ctx;
    ctx.batch = 1;
    ctx.length = 4;
    nn::RoutingReport report;
    return forward(numbers({4, 6}, 0.9), ctx, report);
  }
};

TEST(LoraVariants, MoSLoRA_with_the_identity_as_mixer_is_LoRA) {
  const at::NoGradGuard guard;
  Lora plain("lora"), mixed("moslora");
  mixed.value("lora_AB.weight").copy_(at::eye(3));
  EXPECT_TRUE(test::near(mixed.run(), plain.run(), 1e-14));
  // Another mixer is LoRA with A' = M·A.
  mixed.value("lora_AB.weight").copy_(numbers({3, 3}, 0.5));
  plain.value("lora_A.weight").copy_(at::mm(numbers({3, 3}, 0.5), mixed.value("lora_A.weight")));
  EXPECT_TRUE(test::near(mixed.run(), plain.run(), 1e-14));
}

TEST(LoraVariants, DoRA_with_the_row_norms_as_magnitude_is_LoRA) {
  const at::NoGradGuard guard;
  for (const bool transposed : {false, true}) {
    Lora plain("lora", transposed), dora("dora", transposed);
    const at::Tensor merged =
        numbers({5, 6}, 0.7) + 2.0 * at::mm(dora.value("lora_B.weight"), dora.value("lora_A.weight"));
    dora.value("lora_magnitude_vector").copy_(at::norm(merged, 2, {1}));
    EXPECT_TRUE(test::near(dora.run(), plain.run(), 1e-13));
  }
}

TEST(LoraVariants, DoRA_starts_as_the_base_and_follows_changes_of_its_factors) {
  const at::NoGradGuard guard;
  Lora dora("dora");
  dora.value("lora_B.weight").zero_();
  const at::Tensor fresh = dora.run();
  dora.set->detach();
  EXPECT_TRUE(test::near(fresh, dora.run(), 1e-14));
  dora.set->attach();
  dora.value("lora_B.weight").fill_(0.25);
  const at::Tensor changed = dora.run();
  dora.set->merge_into_base();
  EXPECT_TRUE(test::near(changed, dora.run(), 1e-13));
}

TEST(LoraVariants, DoRA_divides_a_zero_row_to_zero) {
  const at::NoGradGuard guard;
  test::OneSite site(at::zeros({2, 3}, at::kDouble), {}, Json::object({{"method", "dora"}, {"r", 1}}));
  site.set->initialize(1);
  nn::BatchContext ctx;
  ctx.batch = ctx.length = 1;
  nn::RoutingReport report;
  EXPECT_TRUE(site.forward(numbers({1, 3}, 1.0), ctx, report).eq(0).all().item<bool>());
}

TEST(LoraVariants, PiSSA_starts_as_the_base_and_gives_it_back) {
  const at::NoGradGuard guard;
  for (const bool transposed : {false, true}) {
    Lora pissa("pissa", transposed);
    nn::LinearWeight& weight = pissa.group.members[0].weight;
    pissa.set->detach();
    const at::Tensor base = weight.value, base_output = pissa.run();
    pissa.set->attach();
    pissa.set->initialize(1);
    EXPECT_FALSE(weight.value.is_same(base));
    EXPECT_TRUE(test::near(pissa.run(), base_output, 1e-13));
    pissa.set->detach();
    EXPECT_TRUE(weight.value.is_same(base));
  }
}

TEST(LoraVariants, PiSSA_reads_back_as_it_was_saved) {
  const at::NoGradGuard guard;
  const std::filesystem::path folder = test::scratch_dir("lora_variants");
  Lora pissa("pissa");
  const at::Tensor before = pissa.run();
  pissa.set->save(folder, {"base", ""});
  pissa.set->detach();
  const auto loaded =
      AdapterSet::load(folder, pissa.slots, BaseIdentity{"base", ""}, at::kDouble, at::kCPU, pissa.warnings);
  loaded->attach();
  EXPECT_TRUE(test::same_bits(pissa.run(), before));
}

TEST(LoraVariants, DoRA_reads_back_as_it_was_saved) {
  const at::NoGradGuard guard;
  const std::filesystem::path folder = test::scratch_dir("lora_variants");
  Lora dora("dora");
  const at::Tensor before = dora.run();
  dora.set->save(folder, {"base", ""});
  EXPECT_EQ(dora.set->config()["peft_type"], "LORA");
  EXPECT_EQ(dora.set->config()["use_dora"], true);
  dora.set->detach();
  const auto loaded =
      AdapterSet::load(folder, dora.slots, BaseIdentity{"base", ""}, at::kDouble, at::kCPU, dora.warnings);
  loaded->attach();
  EXPECT_TRUE(test::same_bits(dora.run(), before));
}

TEST(LoraVariants, LoRA_plus_speeds_up_every_B_and_vectors_only) {
  Lora plus(Json::object({{"method", "dora"}, {"loraplus_lr_ratio", 8}}));
  std::map<std::string, double> factors;
  for (const nn::NamedView& view : plus.set->parameters().views())
    factors[view.name.substr(view.name.find("lora_"))] =
        plus.set->parameters().leaves()[static_cast<size_t>(view.leaf)].segments.front().options.lr_factor;
  EXPECT_EQ(factors, (std::map<std::string, double>{
                         {"lora_A.weight", 1.0}, {"lora_B.weight", 8.0}, {"lora_magnitude_vector", 8.0}}));
}

TEST(LoraVariants, What_has_no_meaning_is_refused) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"method", "pissa"}, {"experts", {{"mixer", true}}}}, "mixer"},
      {{{"method", "pissa"}, {"use_dora", true}}, "use_dora"},
      {{{"method", "lora"}, {"init_lora_weights", "pissa_niter_4"}}, "init_lora_weights"},
      {{{"method", "lora"}, {"loraplus_lr_ratio", 0}}, "loraplus_lr_ratio"},
      {{{"method", "smore"}, {"use_dora", true}}, "not of kind tree"}};
  for (const auto& [keys, named] : cases) {
    try {
      Lora made(keys);
      ADD_FAILURE() << keys.dump() << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace morex::adapters
