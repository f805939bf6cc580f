// morex_bench step: whole training steps of one case on a fixed batch, all positions supervised.
//   model=M case=C dtype=D [batch=8 length=128 steps=7 turns=0 adapter=DIR]
// `loss_1` is the loss of the first step and `loss_4` that of the fourth, after three updates: a peer that starts from
// the same adapter (written to `adapter` before the first step) must report the same two numbers. These four steps are
// also the warm-up. turns=1: see turns.h. steps=0: the losses alone.
#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include <memory>

#include "adapters/adapter_set.h"
#include "arguments.h"
#include "cases.h"
#include "fixed_ids.h"
#include "models/causal_lm.h"
#include "modes.h"
#include "nn/prompt_reader.h"
#include "train/gradients.h"
#include "train/optimizer.h"
#include "train/peak_rate.h"
#include "train/phase_work.h"
#include "train/runtime.h"
#include "train/trainable.h"
#include "turns.h"

namespace morex::bench {
namespace {

// High enough that three updates move the loss well beyond rounding.
constexpr double kLearningRate = 1e-3;

// What some methods must know of a sequence.
class EvenPrompts : public nn::PromptReader {
 public:
  explicit EvenPrompts(std::vector<int64_t> counts) : counts_(std::move(counts)) {}
  void read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const override {
    train::make_up_facts(ctx, static_cast<int64_t>(prompts.size()), counts_, at::kCPU);
  }

 private:
  std::vector<int64_t> counts_;
};

data::Batch fixed_batch(int64_t rows, int64_t length, int64_t vocabulary) {
  data::Batch batch;
  batch.rows = rows;
  batch.length = length;
  batch.ids = fixed_ids(rows * length, vocabulary);
  batch.labels = batch.ids;
  batch.lengths.assign(static_cast<size_t>(rows), length);
  batch.prompt_lengths = batch.lengths;
  batch.facts.resize(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) batch.examples.push_back(r);
  return batch;
}

// Floating-point operations (multiply-add = 2) that a step cannot do without, T tokens in rows of L:
//   frozen products, head included   forward 2·T·weights, the gradient of their input the same
//   attention, causal: a token sees (L + 1) / 2 positions; two products forward and five backward (the scores again,
//   as nobody keeps them), each 2·T·(L + 1) / 2·heads·head_dim a layer
//   adapter                          forward, the gradient of its input and of its weights: 3 × forward, of the chosen
//                                    experts alone
// Normalisation, softmax, activations and AdamW count nothing.
double step_flops(models::CausalLm& model, const train::Trainable& trainable, int64_t rows, int64_t length) {
  const auto tokens = static_cast<double>(rows * length);
  const double context = static_cast<double>(length + 1) / 2;
  const train::BaseFlops products = train::base_flops(model, 0);
  const double attention = train::base_flops(model, context).token - products.token;
  double adapter = 0;
  for (const adapters::SiteCost& site : trainable.adapter_set()->costs())
    adapter += site.sparse_flops_per_token + site.routing_flops;
  return tokens * (2 * (products.token + products.logits) + 3.5 * attention + 3 * adapter);
}

}  // namespace

void step_mode(const ModeArguments& given) {
  const Arguments arguments(given, {"model", "case", "dtype", "batch", "length", "steps", "turns", "adapter"});
  const int64_t rows = arguments.number("batch", 8), length = arguments.number("length", 128);
  Warnings warnings;
  train::Recipe recipe;
  recipe.model_name_or_path = arguments.text("model");
  recipe.dtype = arguments.text("dtype");
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(recipe.model_name_or_path, {runtime.dtype, runtime.device}, warnings);
  recipe.method = method_of_case(arguments.text("case"), *model);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  if (const std::string folder = arguments.text("adapter", ""); !folder.empty()) trainable->save(folder);
  const EvenPrompts prompts(trainable->sequence_needs().clusters);
  model->set_prompt_reader(&prompts);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const std::vector<data::Batch> window = {fixed_batch(rows, length, model->config().vocab_size)};

  constexpr int64_t kTotalSteps = 1 << 20;  // of schedules that a turn never reaches
  int64_t done = 0;
  const auto step = [&] {
    const train::StepSums sums =
        train::accumulate_gradients(*model, *trainable, window, recipe.seed, done, kTotalSteps);
    train::checked_clip(trainable->parameters(), recipe.max_grad_norm, done);
    optimizer.step(kLearningRate, done++);
    return sums.loss();
  };
  const double first = step();
  step();
  step();
  const double fourth = step();

  const double flops = step_flops(*model, *trainable, rows, length);
  const Json facts = {{"case", arguments.text("case")},
                      {"dtype", runtime.dtype_name()},
                      {"threads", runtime.threads},
                      {"trainable", trainable->parameters().parameter_count()},
                      {"tokens", rows * length},
                      {"gflop", flops / 1e9},
                      {"loss_1", first},
                      {"loss_4", fourth}};
  run_turns(facts, arguments.number("turns", 0) != 0, arguments.number("steps", 7), [&](int64_t steps) {
    const double peak = train::measure_peak_rate(runtime.dtype) / 1e9;
    const Timed timed = time_each(steps, step);
    return Json{{"ms", timed.ms}, {"cpu_ms", timed.cpu_ms}, {"peak_gflops", peak}};
  });
}

}  // namespace morex::bench
