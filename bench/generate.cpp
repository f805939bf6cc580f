// morex_bench generate: greedy generation of one sequence.
//   model=M dtype=D [case=C prompt=32 tokens=64 steps=3 turns=0]
// A repetition is a whole generation, prompt included; `ms` is the time of one new token. With a case, a fresh adapter
// of that method is on the model. `ids` and `log_probs` are what comes out. `bytes_per_token`: weights read once a
// token, and keys and values of the positions so far.
// morex_bench bandwidth: what the machine reads from memory, in a process of its own.
#include "eval/generate.h"

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/core.h>

#include "arguments.h"
#include "bandwidth.h"
#include "cases.h"
#include "fixed_ids.h"
#include "models/causal_lm.h"
#include "modes.h"
#include "train/runtime.h"
#include "train/trainable.h"
#include "turns.h"

namespace morex::bench {
namespace {

double bytes_per_token(models::CausalLm& model, double context) {
  double numbers = 0;
  for (const nn::LinearGroup* group : model.slots().groups)
    for (const nn::LinearMember& member : group->members)
      numbers += static_cast<double>(member.weight.in_features() * member.weight.out_features());
  const models::ModelConfig& config = model.config();
  const int64_t kept = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
  numbers += static_cast<double>(kept) * context;
  return numbers * static_cast<double>(c10::elementSize(model.dtype()));
}

}  // namespace

void generate_mode(const ModeArguments& given) {
  const Arguments arguments(given, {"model", "dtype", "case", "prompt", "tokens", "steps", "turns"});
  const int64_t prompt = arguments.number("prompt", 32), tokens = arguments.number("tokens", 64);
  Warnings warnings;
  train::Recipe recipe;
  recipe.dtype = arguments.text("dtype");
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(arguments.text("model"), {runtime.dtype, runtime.device}, warnings);
  std::unique_ptr<train::Trainable> trainable;
  if (const std::string name = arguments.text("case", ""); !name.empty()) {
    recipe.method = method_of_case(name, *model);
    trainable = train::make_trainable(recipe, runtime, *model, warnings);
  }
  const nn::Prompt ids(fixed_ids(prompt, model->config().vocab_size));
  eval::GenerationOptions options;
  options.max_new_tokens = tokens;
  const auto generate = [&] { return eval::generate(*model, nullptr, ids, options); };
  const eval::Generated first = generate();
  MOREX_CHECK(static_cast<int64_t>(first.ids.size()) == tokens, ErrorKind::kRun, "{} tokens were asked for, got {}",
              tokens, first.ids.size());

  const double context = static_cast<double>(prompt) + static_cast<double>(tokens) / 2;
  const Json facts = {{"case", arguments.text("case", "")},
                      {"dtype", runtime.dtype_name()},
                      {"threads", runtime.threads},
                      {"bytes_per_token", bytes_per_token(*model, context)},
                      {"ids", first.ids},
                      {"log_probs", first.log_probs}};
  run_turns(facts, arguments.number("turns", 0) != 0, arguments.number("steps", 3), [&](int64_t repetitions) {
    Timed timed = time_each(repetitions, generate);
    for (double& ms : timed.ms) ms /= static_cast<double>(tokens);
    for (double& ms : timed.cpu_ms) ms /= static_cast<double>(tokens);
    return Json{{"ms", timed.ms}, {"cpu_ms", timed.cpu_ms}};
  });
}

void bandwidth_mode(const ModeArguments& given) {
  const Arguments arguments(given, {});
  Warnings warnings;
  train::resolve_runtime(train::Recipe(), warnings);  // all threads
  fmt::print("{}\n", Json{{"read_bytes_per_second", read_bandwidth()}}.dump());
}

}  // namespace morex::bench
