// Times whole training steps on a real model. One case per process, so that its peak memory is its own:
//   morex_bench MODEL CASE DTYPE [BATCH LENGTH STEPS]
// CASE: a case of the table below; `preset:NAME`, a published method as it comes; `lora_like:CASE`, plain LoRA on the
// same projections with about as many numbers. Prints one JSON line: {case, shape, dtype, threads, trainable, ms,
// ms_min, ms_max, cpu_ms, tokens_per_second, rss_mb, loss}. `loss` is that of step 1 on a fixed text (no method has
// trained anything yet), so that a peer which computes the same thing reports the same number.
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "base/system.h"
#include "models/causal_lm.h"
#include "nn/prompt_reader.h"
#include "ops/arena_allocator.h"
#include "train/gradients.h"
#include "train/optimizer.h"
#include "train/runtime.h"
#include "train/trainable.h"

namespace {

using namespace morex;

struct Case {
  const char* name;
  const char* method;  // the method part of a recipe
};

constexpr Case kCases[] = {
    // Forward, and backward to the inputs: the smallest adapter there is, at the bottom.
    {"frozen", R"({"method": "lora", "r": 1, "target_modules": ["model.layers.0.self_attn.q_proj"]})"},
    {"lora_r16", R"({"method": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"})"},
    {"lora_r8", R"({"method": "lora", "r": 8, "lora_alpha": 16, "target_modules": "all-linear"})"},
    {"smore_4x4",
     R"({"method": "smore", "target_modules": ["gate_proj", "up_proj", "down_proj"],
         "experts": {"kind": "tree", "ranks": [8, 8], "pool": [4, 4], "active": [2, 2], "activation": "tanh"},
         "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": [32, 32], "dim_downproj_x": 32}})"},
};

Json find_method(const std::string& name) {
  const std::string preset = "preset:";
  if (name.starts_with(preset)) return {{"method", name.substr(preset.size())}};
  std::vector<std::string> names;
  for (const Case& item : kCases) {
    if (name == item.name) return parse_json(item.method, name);
    names.emplace_back(item.name);
  }
  fail(ErrorKind::kConfig, "unknown case '{}'", name);
}

// LoRA on the projections that `method` adapts, of the rank whose size is nearest to its.
Json lora_like(const Json& method, models::CausalLm& model) {
  Warnings warnings(/*strict=*/false, /*print=*/false);
  const auto adapters = adapters::AdapterSet::create(method, model.slots(), at::kFloat, at::kMeta, warnings);
  std::set<std::string> modules;
  for (const adapters::SiteCost& site : adapters->costs()) modules.insert(site.module);
  double per_rank = 0;
  std::vector<std::string> targets;
  for (const nn::LinearGroup* group : model.slots().groups)
    for (const nn::LinearMember& member : group->members) {
      const std::string block = member.module.substr(0, member.module.rfind('.'));
      if (!modules.contains(member.module) && !modules.contains(block)) continue;
      targets.push_back(member.module);
      per_rank += static_cast<double>(member.weight.in_features() + member.weight.out_features());
    }
  const auto rank = std::llround(static_cast<double>(adapters->parameters().parameter_count()) / per_rank);
  return {{"method", "lora"}, {"r", rank}, {"lora_alpha", 2 * rank}, {"target_modules", targets}};
}

// What some methods must know of a sequence: the same similarity to every cluster, task 0.
class EvenPrompts : public nn::PromptReader {
 public:
  explicit EvenPrompts(std::vector<int64_t> counts) : counts_(std::move(counts)) {}
  void read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const override {
    for (const int64_t count : counts_)
      ctx.per_sequence["cluster_scores." + std::to_string(count)] =
          at::full({static_cast<int64_t>(prompts.size()), count}, 0.1, at::kFloat);
    ctx.per_sequence["task_ids"] = at::zeros({static_cast<int64_t>(prompts.size())}, at::kLong);
  }

 private:
  std::vector<int64_t> counts_;
};

data::Batch fixed_batch(int64_t rows, int64_t length, int64_t vocabulary) {
  data::Batch batch;
  batch.rows = rows;
  batch.length = length;
  for (int64_t i = 0; i < rows * length; ++i)
    batch.ids.push_back((37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary);
  batch.labels = batch.ids;
  batch.lengths.assign(static_cast<size_t>(rows), length);
  batch.prompt_lengths = batch.lengths;
  batch.facts.resize(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) batch.examples.push_back(r);
  return batch;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  MOREX_CHECK(argc >= 4, ErrorKind::kConfig, "usage: morex_bench MODEL CASE DTYPE [BATCH LENGTH STEPS]");
  keep_freed_memory();
  ops::use_arena_allocator();
  const auto number = [&](int index, int64_t fallback) { return argc > index ? std::stoll(argv[index]) : fallback; };
  const int64_t rows = number(4, 8), length = number(5, 128), steps = number(6, 7);
  Warnings warnings;
  train::Recipe recipe;
  recipe.model_name_or_path = argv[1];
  recipe.dtype = argv[3];
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(argv[1], {runtime.dtype, runtime.device}, warnings);
  const std::string name = argv[2], like = "lora_like:";
  recipe.method = name.starts_with(like) ? lora_like(find_method(name.substr(like.size())), *model) : find_method(name);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  const EvenPrompts prompts(trainable->sequence_needs().clusters);
  model->set_prompt_reader(&prompts);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const std::vector<data::Batch> window = {fixed_batch(rows, length, model->config().vocab_size)};

  std::vector<double> times, cpu_times;
  double first_loss = 0;
  for (int64_t step = 0; step < steps + 2; ++step) {  // two steps of warm-up
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    const train::StepSums sums = train::accumulate_gradients(*model, *trainable, window, recipe.seed, step, steps);
    train::checked_clip(trainable->parameters(), recipe.max_grad_norm, step);
    optimizer.step(recipe.learning_rate, step);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    if (step == 0) first_loss = sums.loss();
    if (step < 2) continue;
    times.push_back(took.count());
    cpu_times.push_back(static_cast<double>(std::clock() - cpu) * 1000.0 / CLOCKS_PER_SEC);
  }
  const Json line = {{"case", name},
                     {"shape", fmt::format("{}x{}", rows, length)},
                     {"dtype", runtime.dtype_name()},
                     {"threads", runtime.threads},
                     {"trainable", trainable->parameters().parameter_count()},
                     {"ms", median(times)},
                     {"ms_min", *std::min_element(times.begin(), times.end())},
                     {"ms_max", *std::max_element(times.begin(), times.end())},
                     {"cpu_ms", median(cpu_times)},
                     {"tokens_per_second", static_cast<double>(rows * length) / median(times) * 1000},
                     {"rss_mb", static_cast<double>(peak_rss_bytes()) / 1e6},
                     {"loss", first_loss}};
  fmt::print("{}\n", line.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "morex_bench: {}\n", error.what());
    return 1;
  }
}
