#include "train/memory_forecast.h"

#include <ATen/core/ScalarType.h>

#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "ops/arena_allocator.h"

namespace morex::train {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

}  // namespace

double process_beside_tensors() {
  return std::max(0.0, static_cast<double>(current_rss_bytes()) - static_cast<double>(ops::arena_bytes()));
}

MemoryForecast forecast_memory(const Recipe& recipe, const Runtime& runtime, const models::ModelConfig& config,
                               const LargestBatch& largest, const std::function<double()>& program,
                               Warnings& warnings) {
  StepMemory step(recipe, runtime, config, largest, warnings);
  const double values = step.trainable_elements() * static_cast<double>(at::elementSize(runtime.parameter_dtype()));
  MemoryForecast forecast;
  forecast.weights = step.base_bytes();
  forecast.parameters = forecast.gradients = values;
  forecast.moments = 2 * values;
  forecast.layers = config.num_hidden_layers;
  forecast.rows = step.batch().rows, forecast.length = step.batch().length, forecast.tokens = step.batch().tokens();
  const double budget = recipe.memory_budget_gib * kGib;
  forecast.recomputed_layers = recipe.gradient_checkpointing ? forecast.layers : 0;
  forecast.step = step.peak(forecast.recomputed_layers);
  forecast.program = program();
  while (budget > 0 && forecast.total() > budget && forecast.recomputed_layers < forecast.layers)
    forecast.step = step.peak(++forecast.recomputed_layers);
  MOREX_CHECK(budget == 0 || forecast.total() <= budget, ErrorKind::kConfig,
              "[recipe] memory_budget_gib is {}, but with every layer recomputed the run needs {:.3f}. Hint: a smaller "
              "per_device_train_batch_size (gradient_accumulation_steps makes up for it) or max_seq_length.",
              recipe.memory_budget_gib, forecast.total() / kGib);
  return forecast;
}

}  // namespace morex::train
