// morex inspect memory: what a recipe will need, before it runs.
#include <fmt/core.h>

#include <memory>

#include "base/strings.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/recipe_input.h"
#include "data/dataset.h"
#include "models/causal_lm.h"
#include "train/batch_source.h"
#include "train/memory_forecast.h"
#include "train/phase_work.h"
#include "train/runtime.h"
#include "train/trainable.h"

namespace morex::cli {

namespace {

struct InspectMemoryOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  bool json = false;
};

// For a micro-batch of examples as long as the limit.
train::MemoryForecast without_data(const train::Recipe& recipe, const train::Runtime& runtime,
                                   const models::ModelConfig& config, Warnings& warnings) {
  const auto largest = [&](bool) {
    return train::synthetic_rows(config.vocab_size, recipe.per_device_train_batch_size, recipe.data.max_seq_length);
  };
  return train::forecast_memory(recipe, runtime, config, largest, train::process_beside_tensors, warnings);
}

train::MemoryForecast with_data(const train::Recipe& recipe, const train::Runtime& runtime,
                                const models::ModelConfig& config, Warnings& warnings) {
  ModelArguments arguments;
  arguments.model = recipe.model_name_or_path;
  arguments.tokenizer = recipe.tokenizer_name_or_path;
  const data::Dataset dataset = train::load_train_rows(recipe, *load_tokenizer(arguments), warnings);
  const train::BatchSource source(dataset.examples, recipe, /*pad_id=*/0);
  const auto largest = [&](bool keep_padding) { return source.largest(source.total_steps(recipe), keep_padding); };
  return train::forecast_memory(train::with_tasks_of(recipe, dataset.examples), runtime, config, largest,
                                train::process_beside_tensors, warnings);
}

void print_text(const train::MemoryForecast& forecast, const train::Runtime& runtime) {
  const auto size = [](double bytes) { return format_bytes(bytes); };
  fmt::print("{}",
             aligned_pairs({{"dtype", runtime.dtype_name()},
                            {"micro-batch", fmt::format("{} x {} tokens", forecast.rows, forecast.length)},
                            {"program", size(forecast.program)},
                            {"base weights", size(forecast.weights)},
                            {"trainable values", size(forecast.parameters)},
                            {"gradients", size(forecast.gradients)},
                            {"optimiser moments", size(forecast.moments)},
                            {"activations", size(forecast.step)},
                            {"gaps between them", size(forecast.gaps())},
                            {"recomputed layers", fmt::format("{} of {}", forecast.recomputed_layers, forecast.layers)},
                            {"total", size(forecast.total())},
                            {"this machine", size(static_cast<double>(total_memory_bytes()))}}));
}

void print_as_json(const train::MemoryForecast& forecast, const train::Runtime& runtime) {
  const auto bytes = [](double value) { return static_cast<int64_t>(value); };
  print_json({{"dtype", runtime.dtype_name()},
              {"rows", forecast.rows},
              {"length", forecast.length},
              {"tokens", forecast.tokens},
              {"program_bytes", bytes(forecast.program)},
              {"weight_bytes", bytes(forecast.weights)},
              {"parameter_bytes", bytes(forecast.parameters)},
              {"gradient_bytes", bytes(forecast.gradients)},
              {"moment_bytes", bytes(forecast.moments)},
              {"activation_bytes", bytes(forecast.step)},
              {"gap_bytes", bytes(forecast.gaps())},
              {"layers", forecast.layers},
              {"recomputed_layers", forecast.recomputed_layers},
              {"total_bytes", bytes(forecast.total())},
              {"machine_bytes", total_memory_bytes()}});
}

void run(const InspectMemoryOptions& options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  const train::Recipe recipe = read_partial_recipe(options.recipe, options.overrides);
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const models::ModelConfig config = models::load_model_config(recipe.model_name_or_path, warnings);
  const train::MemoryForecast forecast = recipe.train_file.empty() ? without_data(recipe, runtime, config, warnings)
                                                                   : with_data(recipe, runtime, config, warnings);
  options.json ? print_as_json(forecast, runtime) : print_text(forecast, runtime);
}

}  // namespace

void add_inspect_memory(Command inspect, Globals& globals) {
  const auto options = std::make_shared<InspectMemoryOptions>();
  Command command = inspect.subcommand("memory", "The memory that training by a recipe will need");
  command.option("--recipe", options->recipe, "Recipe in YAML; - reads standard input").required();
  command.option("overrides", options->overrides, "key=value");
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
