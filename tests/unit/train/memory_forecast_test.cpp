// What a few measured layers say about the whole model's step, and what a budget makes of it.
#include "train/memory_forecast.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "train/peak_allocation.h"
#include "train/phase_work.h"
#include "train/step_memory.h"
#include "train/trainable.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

constexpr int64_t kLayers = 6;
constexpr double kProgramBytes = 1e8;
constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

double program() { return kProgramBytes; }

models::ModelConfig config() {
  Warnings warnings(false, false);
  models::ModelConfig config = models::load_model_config(test::tiny_base(), warnings);
  config.num_hidden_layers = kLayers;
  return config;
}

// Rows of differing length that begin with a prompt.
data::Batch rows(bool = false) {
  constexpr int64_t kRows = 4, kLength = 48, kPrompt = 12;
  data::Batch batch = synthetic_rows(config().vocab_size, kRows, kLength);
  batch.lengths = {kLength, 40, 31, kLength};
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t t = 0; t < kLength; ++t)
      if (t < kPrompt || t >= batch.lengths[static_cast<size_t>(row)])
        batch.labels[static_cast<size_t>(row * kLength + t)] = data::kIgnoreLabel;
  return batch;
}

Recipe recipe(const Json& method, const Json& more = Json::object()) {
  Json json = {{"model_name_or_path", "m"}, {"train_file", "t"}, {"output_dir", "o"}};
  json.update(method);
  json.update(more);
  return parse_recipe(json);
}

Runtime runtime(at::ScalarType dtype) {
  Runtime runtime;
  runtime.dtype = dtype;
  return runtime;
}

// The whole model's step, measured.
double real_peak(const Json& method, at::ScalarType dtype, int64_t recomputed) {
  Warnings warnings(false, false);
  models::RandomModels models(config(), {dtype, at::kCPU});
  const auto model = models.make(kLayers);
  const auto trainable = make_trainable(recipe(method), runtime(dtype), *model, warnings);
  const auto auxiliary = [&](const nn::RoutingReport& report) { return trainable->auxiliary_loss(report); };
  const nn::SequenceNeeds needs = trainable->sequence_needs();
  const DeviceBatch batch = with_made_up_facts(rows(), *model, needs.clusters, needs.padding);
  model->set_recomputed_layers(recomputed);
  const adapters::AdapterSet* set = trainable->adapter_set();
  nn::RoutingTally tally(set == nullptr ? std::vector<nn::RoutedGate>() : set->routed_gates());  // as in a run
  return static_cast<double>(
      peak_allocation([&] { train_pass(*model, trainable->parameters(), auxiliary, batch, &tally); }));
}

const Json kLora = {{"method", "lora"}, {"r", 4}, {"target_modules", "all-linear"}};

class StepMemoryOf : public testing::TestWithParam<Json> {};

TEST_P(StepMemoryOf, Is_that_of_the_whole_model) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Warnings warnings(false, false);
    const Recipe asked = recipe(GetParam());
    const Runtime where = runtime(dtype);
    StepMemory step(asked, where, config(), rows, warnings);
    for (int64_t recomputed = 0; recomputed <= kLayers; ++recomputed) {
      const double real = real_peak(GetParam(), dtype, recomputed), forecast = step.peak(recomputed);
      // Of the step alone. What layers need while they are recomputed may be counted more than once.
      const double above = recomputed == 0 ? 0.05 : 0.2, below = recomputed == 0 ? 0.05 : 0.1;
      EXPECT_NEAR(forecast / real, 1.0 + (above - below) / 2, (above + below) / 2)
          << at::toString(dtype) << ", recomputed " << recomputed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Every, StepMemoryOf,
    testing::Values(kLora, Json{{"method", "lora"}, {"target_modules", "all-linear"}, {"layers_to_transform", {2, 4}}},
                    Json{{"method", "smore"}}, Json{{"method", "trex"}}, Json{{"method", "mixlora"}},
                    Json{{"method", "mola"}, {"experts", {{"num_experts", {2, 2, 2, 4, 4, 8}}}}},
                    Json{{"method", "full"}}),
    [](const auto& info) { return info.param["method"].template get<std::string>() + std::to_string(info.index); });

TEST(MemoryForecast, Counts_what_stays_to_the_byte) {
  Warnings warnings(false, false);
  const models::ModelConfig shape = config();
  const auto model = models::make_meta_model(shape);
  double base = 0;
  for (const models::NamedWeight& weight : model->weights()) base += static_cast<double>(weight.slot->numel());
  const MemoryForecast lora = forecast_memory(recipe(kLora), runtime(at::kBFloat16), shape, rows, program, warnings);
  EXPECT_EQ(lora.program, kProgramBytes);
  EXPECT_EQ(lora.weights, 2 * base);
  EXPECT_EQ(lora.moments, 2 * lora.parameters);
  EXPECT_EQ(lora.recomputed_layers, 0);
  const MemoryForecast full =
      forecast_memory(recipe({{"method", "full"}}), runtime(at::kFloat), shape, rows, program, warnings);
  EXPECT_EQ(full.weights, 0);
  EXPECT_EQ(full.parameters, 4 * base);
  EXPECT_EQ(full.gradients, 4 * base);
}

TEST(MemoryForecast, A_budget_recomputes_as_few_layers_as_it_needs) {
  Warnings warnings(false, false);
  const auto forecast = [&](const Json& more) {
    return forecast_memory(recipe(kLora, more), runtime(at::kFloat), config(), rows, program, warnings);
  };
  const MemoryForecast none = forecast(Json::object()), all = forecast({{"gradient_checkpointing", true}});
  EXPECT_EQ(all.recomputed_layers, kLayers);
  EXPECT_LT(all.total(), none.total());
  EXPECT_EQ(forecast({{"memory_budget_gib", (none.total() + 1) / kGib}}).recomputed_layers, 0);
  int64_t before = 0;
  for (const double share : {0.9, 0.5, 0.1}) {
    const double budget = all.total() + share * (none.total() - all.total());
    const MemoryForecast made = forecast({{"memory_budget_gib", budget / kGib}});
    EXPECT_LE(made.total(), budget);
    EXPECT_GT(made.recomputed_layers, before);
    before = made.recomputed_layers;
  }
  try {
    forecast({{"memory_budget_gib", 0.99 * all.total() / kGib}});
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("every layer recomputed"), std::string::npos) << error.what();
  }
}

// Recomputing is a matter of memory alone: the trained numbers are the same bytes.
TEST(Recomputing, Changes_no_byte_of_a_run) {
  for (const Json& method : {Json{{"method", "lora"}, {"lora_dropout", 0.3}},
                             Json{{"method", "trex"}, {"target_modules", "all-linear"}}, Json{{"method", "full"}}}) {
    const test::TinyRun tiny("recomputing");
    const auto bytes = [&](const std::string& name, const Json& more) {
      Json asked = tiny.recipe(name, more);
      if (method["method"] == "full") asked.erase("target_modules");
      asked.update(method);
      test::run(asked);
      const auto file = method["method"] == "full" ? "model.safetensors" : "adapter_model.safetensors";
      return read_text_file(tiny.output(name) / file);
    };
    const std::string kept = bytes("kept", Json::object());
    EXPECT_EQ(bytes("recomputed", {{"gradient_checkpointing", true}}), kept) << method;
    const auto run_json = [&](const std::string& name) {
      return parse_json(read_text_file(tiny.output(name) / "run.json"), name);
    };
    EXPECT_EQ(run_json("kept")["recomputed_layers"], 0);
    EXPECT_EQ(run_json("recomputed")["recomputed_layers"], 2);
    EXPECT_EQ(bytes("budget", {{"memory_budget_gib", 64}}), kept) << method;
    EXPECT_EQ(run_json("budget")["recomputed_layers"], 0);
    EXPECT_GT(run_json("budget")["memory_forecast_bytes"], 0);
  }
}

}  // namespace
}  // namespace morex::train
