// The measured cost: what is counted is exact, what is timed is at least plausible.
#include "train/tax.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "train/peak_allocation.h"
#include "train/phase_work.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

struct Loaded {
  explicit Loaded(const Json& method) {
    set = adapters::AdapterSet::create(method, model->slots(), at::kFloat, at::kCPU, warnings);
    set->initialize(1);
  }
  Warnings warnings{false, false};
  std::unique_ptr<models::CausalLm> model = models::load_model(test::tiny_base(), {at::kFloat, at::kCPU}, warnings);
  std::unique_ptr<adapters::AdapterSet> set;
};

TEST(Tax, The_spread_holds_lowest_middle_and_highest) {
  const Spread odd = spread_of({3, 1, 2}), even = spread_of({4, 1, 2, 3}), one = spread_of({5});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.low, 1);
  EXPECT_EQ(odd.high, 3);
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(one.low, one.high);
}

TEST(Tax, Peak_allocation_is_what_lives_at_once) {
  const auto bytes = [](int64_t count) { return at::empty({count}, at::kByte); };
  EXPECT_EQ(peak_allocation([&] {
              bytes(1 << 20);
              const at::Tensor kept = bytes(1 << 20);
              bytes(1 << 19);
            }),
            (1 << 20) + (1 << 19));
  EXPECT_EQ(peak_allocation([] {}), 0);
}

TEST(Tax, Base_flops_are_those_of_its_weights_and_attention) {
  const Loaded loaded(Json{{"method", "lora"}});
  const models::ModelConfig& config = loaded.model->config();
  double weights = 0;
  for (const models::NamedWeight& weight : loaded.model->weights())
    if (weight.name.find("proj") != std::string::npos) weights += static_cast<double>(weight.slot->numel());
  const BaseFlops flops = base_flops(*loaded.model, 10);
  EXPECT_DOUBLE_EQ(flops.token, 2 * weights + static_cast<double>(config.num_hidden_layers * 4 *
                                                                  config.num_attention_heads * config.head_dim * 10));
  EXPECT_DOUBLE_EQ(flops.logits, 2.0 * static_cast<double>(config.hidden_size * config.vocab_size));
}

TEST(Tax, Every_phase_of_every_kind_of_method_is_measured) {
  for (const Json& method :
       {Json{{"method", "smore"}}, Json{{"method", "trex"}}, Json{{"method", "mor"}}, Json{{"method", "mixlora"}},
        Json{{"method", "moelora"}}, Json{{"method", "pissa"}, {"r", 2}}, Json{{"method", "lora"}, {"r", 3}}}) {
    SCOPED_TRACE(method.dump());
    Loaded loaded(method);
    TaxOptions options;
    options.rows = 2;
    options.length = 8;
    options.rounds = 2;
    int64_t polled = 0;
    const Tax tax = measure_tax(*loaded.model, *loaded.set, "it", options, loaded.warnings, [&](int64_t) { ++polled; });
    EXPECT_EQ(polled, tax_rounds(options));
    ASSERT_EQ(tax.phases.size(), 3u);
    double flops = 0;
    for (const adapters::SiteCost& site : loaded.set->costs()) flops += site.flops_per_token + site.routing_flops;
    for (const PhaseTax& phase : tax.phases) {
      SCOPED_TRACE(phase.phase);
      ASSERT_EQ(phase.variants.size(), 3u);
      EXPECT_EQ(phase.variants[0].name, "base");
      EXPECT_EQ(phase.variants[2].name, "it");
      EXPECT_EQ(phase.variants[0].over_base.median, 1.0);
      EXPECT_EQ(phase.variants[1].over_lora.median, 1.0);
      for (const VariantTax& variant : phase.variants) {
        EXPECT_GT(variant.ms.low, 0);
        EXPECT_LE(variant.ms.low, variant.ms.median);
        EXPECT_LE(variant.ms.median, variant.ms.high);
        EXPECT_GT(variant.peak_bytes, 0);
      }
      const double per_token = phase.phase == "decode" ? 1 : phase.phase == "prefill" ? 16 : 3 * 16;
      EXPECT_NEAR(phase.variants[2].flops - phase.variants[0].flops, per_token * flops, 1e-6 * phase.variants[2].flops);
    }
    // In training a larger adapter keeps more, and LoRA's size is as near as one rank allows.
    EXPECT_GE(tax.phases[0].variants[2].peak_bytes, tax.phases[0].variants[0].peak_bytes);
    EXPECT_EQ(tax.parameters, loaded.set->parameters().parameter_count());
    EXPECT_LE(std::abs(tax.lora_parameters - tax.parameters), tax.lora_parameters / tax.lora_rank);
    EXPECT_EQ(tax.training_bytes, 16 * tax.parameters);
  }
}

TEST(Tax, The_values_are_as_before_and_the_adapter_is_on) {
  Loaded loaded(Json{{"method", "smore"}});
  const at::Tensor before = loaded.set->parameters().values().clone();
  TaxOptions options;
  options.rows = 1, options.length = 4, options.rounds = 1;
  measure_tax(*loaded.model, *loaded.set, "it", options, loaded.warnings, [](int64_t) {});
  EXPECT_TRUE(before.equal(loaded.set->parameters().values()));
  bool attached = false;
  for (const nn::LinearGroup* group : loaded.model->slots().groups) attached = attached || group->adapter != nullptr;
  EXPECT_TRUE(attached);
}

}  // namespace
}  // namespace morex::train
