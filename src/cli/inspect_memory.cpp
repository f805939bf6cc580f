// morex inspect memory: what a recipe will need, before it runs.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "adapters/adapter_set.h"
#include "base/strings.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/memory_forecast.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/recipe_input.h"
#include "data/dataset.h"
#include "models/causal_lm.h"
#include "train/runtime.h"

namespace morex::cli {

namespace {

struct InspectMemoryOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  bool json = false;
};

// The longest example of the data where the recipe names a file, else the limit.
int64_t longest_example(const train::Recipe& recipe, Warnings& warnings) {
  if (recipe.train_file.empty()) return recipe.data.max_seq_length;
  ModelArguments arguments;
  arguments.model = recipe.model_name_or_path;
  arguments.tokenizer = recipe.tokenizer_name_or_path;
  const auto dataset = data::load_dataset(recipe.train_file, *load_tokenizer(arguments), recipe.data, warnings);
  int64_t longest = 0;
  for (const data::Example& example : dataset.examples) longest = std::max(longest, example.length());
  return longest;
}

void print_text(const MemoryForecast& forecast, const MemoryInputs& inputs, const train::Runtime& runtime) {
  const auto size = [](double bytes) { return format_bytes(bytes); };
  fmt::print("{}", aligned_pairs({{"dtype", runtime.dtype_name()},
                                  {"tokens of a micro-batch", with_thousands(inputs.tokens)},
                                  {"program", size(forecast.program)},
                                  {"base weights", size(forecast.weights)},
                                  {"trainable values", size(forecast.parameters)},
                                  {"gradients", size(forecast.gradients)},
                                  {"optimiser moments", size(forecast.moments)},
                                  {"activations", size(forecast.activations)},
                                  {"logits", size(forecast.logits)},
                                  {"total", size(forecast.total())},
                                  {"this machine", size(static_cast<double>(total_memory_bytes()))}}));
}

void print_as_json(const MemoryForecast& forecast, const MemoryInputs& inputs, const train::Runtime& runtime) {
  const auto bytes = [](double value) { return static_cast<int64_t>(value); };
  print_json({{"dtype", runtime.dtype_name()},
              {"tokens", inputs.tokens},
              {"program_bytes", bytes(forecast.program)},
              {"weight_bytes", bytes(forecast.weights)},
              {"parameter_bytes", bytes(forecast.parameters)},
              {"gradient_bytes", bytes(forecast.gradients)},
              {"moment_bytes", bytes(forecast.moments)},
              {"activation_bytes", bytes(forecast.activations)},
              {"logit_bytes", bytes(forecast.logits)},
              {"total_bytes", bytes(forecast.total())},
              {"machine_bytes", total_memory_bytes()}});
}

void run(const InspectMemoryOptions& options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  const train::Recipe recipe = read_partial_recipe(options.recipe, options.overrides);
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model =
      models::make_meta_model(models::load_model_config(recipe.model_name_or_path, warnings), recipe.load_in_8bit);
  MemoryInputs inputs;
  inputs.element_bytes = static_cast<int64_t>(at::elementSize(runtime.dtype));
  inputs.parameter_bytes = static_cast<int64_t>(at::elementSize(runtime.parameter_dtype()));
  inputs.full = recipe.method.value("method", Json()) == "full";
  inputs.tokens = recipe.per_device_train_batch_size * longest_example(recipe, warnings);
  std::vector<adapters::SiteCost> costs;
  if (!inputs.full) {
    costs = adapters::AdapterSet::create(recipe.method, model->slots(), runtime.parameter_dtype(), at::kMeta, warnings)
                ->costs();
  }
  const MemoryForecast forecast = forecast_memory(*model, costs, inputs);
  options.json ? print_as_json(forecast, inputs, runtime) : print_text(forecast, inputs, runtime);
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
