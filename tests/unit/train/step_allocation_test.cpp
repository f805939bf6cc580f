// What a training step allocates: how often it goes to the allocator, and how much it holds at most. Neither depends on
// the machine's load, so that a step that does more than it did is caught where times would say nothing.
#include <gtest/gtest.h>

#include "adapters/adapter_set.h"
#include "models/causal_lm.h"
#include "train/optimizer.h"
#include "train/peak_allocation.h"
#include "train/phase_work.h"
#include "train/runtime.h"
#include "train/trainable.h"
#include "unit/train/tiny_run.h"

namespace morex::test {
namespace {

// One training step on the tiny Llama (2 layers), 4 rows of 64 tokens, one thread, after a first one that may set up
// what is kept.
train::Allocation allocation_of_step(const Json& method, const std::string& dtype) {
  Warnings warnings(/*strict=*/false, /*print=*/false);
  train::Recipe recipe;
  recipe.model_name_or_path = tiny_base().string();
  recipe.dtype = dtype;
  recipe.threads = 1;
  recipe.method = method;
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(tiny_base(), {runtime.dtype, runtime.device}, warnings);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const train::DeviceBatch batch = train::synthetic_batch(*model, 4, 64, trainable->sequence_needs().clusters);
  const auto auxiliary = [&](const nn::RoutingReport& report) { return trainable->auxiliary_loss(report); };
  int64_t done = 0;
  const auto step = [&] {
    train::train_pass(*model, trainable->parameters(), auxiliary, batch);
    optimizer.step(1e-3, done++);
  };
  step();
  return train::watch_allocation(step);
}

// What the step took when this was written, work memory of products included. Lower the numbers where it has become
// leaner.
struct Step {
  const char* name;
  Json method;
  const char* dtype;
  int64_t calls, peak_bytes;
};

constexpr double kMargin = 1.1;

void PrintTo(const Step& step, std::ostream* out) { *out << step.name << ' ' << step.dtype; }

std::vector<Step> steps() {
  const Json lora = {{"method", "lora"}, {"r", 8}, {"target_modules", "all-linear"}};
  const Json experts = {{"kind", "ffn_experts"}, {"r", 8}, {"num_experts", 8}};  // without dropout
  return {
      {"lora", lora, "float32", 252, 1374912},
      {"lora", lora, "bfloat16", 349, 767424},
      {"smore", {{"method", "smore"}}, "float32", 1602, 3137724},
      {"trex", {{"method", "trex"}}, "float32", 988, 3383968},
      {"mixlora", {{"method", "mixlora"}, {"experts", experts}}, "float32", 818, 1940148},
  };
}

class StepAllocation : public testing::TestWithParam<Step> {};

TEST_P(StepAllocation, Stays_within_what_it_was) {
  const Step& step = GetParam();
  const train::Allocation took = allocation_of_step(step.method, step.dtype);
  EXPECT_LE(static_cast<double>(took.calls), kMargin * static_cast<double>(step.calls)) << took.calls;
  EXPECT_LE(static_cast<double>(took.peak_bytes), kMargin * static_cast<double>(step.peak_bytes)) << took.peak_bytes;
}

// The count itself: two steps take the same.
TEST(StepAllocationCount, Is_the_same_every_time) {
  const Step lora = steps().front();
  const train::Allocation first = allocation_of_step(lora.method, lora.dtype);
  const train::Allocation second = allocation_of_step(lora.method, lora.dtype);
  EXPECT_GT(first.calls, 0);
  EXPECT_EQ(first.calls, second.calls);
  EXPECT_EQ(first.peak_bytes, second.peak_bytes);
}

INSTANTIATE_TEST_SUITE_P(KeyCases, StepAllocation, testing::ValuesIn(steps()),
                         [](const auto& info) { return std::string(info.param.name) + "_" + info.param.dtype; });

}  // namespace
}  // namespace morex::test
