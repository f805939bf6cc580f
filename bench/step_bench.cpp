// Times whole training steps on a real model. One case per process, so that its peak memory is its own:
//   morex_bench MODEL CASE DTYPE [BATCH LENGTH STEPS]
// prints one JSON line: {case, shape, dtype, threads, ms, ms_min, ms_max, tokens_per_second, rss_mb, loss}.
// `loss` is that of step 1 on a fixed text (no method has trained anything yet), so that a peer which computes the same
// thing reports the same number.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "base/system.h"
#include "models/causal_lm.h"
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
    {"lora_r16", R"({"method": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"})"},
    {"lora_r8", R"({"method": "lora", "r": 8, "lora_alpha": 16, "target_modules": "all-linear"})"},
    // About as many parameters as smore_4x4: a rank that fits on the three FFN projections.
    {"lora_ffn_r84",
     R"({"method": "lora", "r": 84, "lora_alpha": 168, "target_modules": ["gate_proj", "up_proj", "down_proj"]})"},
    {"smore_4x4",
     R"({"method": "smore", "target_modules": ["gate_proj", "up_proj", "down_proj"],
         "experts": {"kind": "tree", "ranks": [8, 8], "pool": [4, 4], "active": [2, 2], "activation": "tanh"},
         "router": {"kind": "tree_keys", "gate": "switch", "gate_dims": [32, 32], "dim_downproj_x": 32}})"},
};

const Case& find_case(const std::string& name) {
  std::vector<std::string> names;
  for (const Case& item : kCases) {
    if (name == item.name) return item;
    names.emplace_back(item.name);
  }
  fail(ErrorKind::kConfig, "unknown case '{}'", name);
}

data::Batch fixed_batch(int64_t rows, int64_t length, int64_t vocabulary) {
  data::Batch batch;
  batch.rows = rows;
  batch.length = length;
  for (int64_t i = 0; i < rows * length; ++i)
    batch.ids.push_back((37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary);
  batch.labels = batch.ids;
  batch.lengths.assign(static_cast<size_t>(rows), length);
  for (int64_t r = 0; r < rows; ++r) batch.examples.push_back(r);
  return batch;
}

int run(int argc, char** argv) {
  MOREX_CHECK(argc >= 4, ErrorKind::kConfig, "usage: morex_bench MODEL CASE DTYPE [BATCH LENGTH STEPS]");
  keep_freed_memory();
  const auto number = [&](int index, int64_t fallback) { return argc > index ? std::stoll(argv[index]) : fallback; };
  const int64_t rows = number(4, 8), length = number(5, 128), steps = number(6, 7);
  Warnings warnings;
  train::Recipe recipe;
  recipe.model_name_or_path = argv[1];
  recipe.dtype = argv[3];
  recipe.method = parse_json(find_case(argv[2]).method, argv[2]);
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(argv[1], {runtime.dtype, runtime.device}, warnings);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const std::vector<data::Batch> window = {fixed_batch(rows, length, model->config().vocab_size)};

  std::vector<double> times;
  double first_loss = 0;
  for (int64_t step = 0; step < steps + 2; ++step) {  // two steps of warm-up
    const auto begin = std::chrono::steady_clock::now();
    const train::StepSums sums = train::accumulate_gradients(*model, *trainable, window, recipe.seed, step);
    train::checked_clip(trainable->parameters(), recipe.max_grad_norm, step);
    optimizer.step(recipe.learning_rate, step);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    if (step == 0) first_loss = sums.loss();
    if (step >= 2) times.push_back(took.count());
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const Json line = {{"case", argv[2]},
                     {"shape", fmt::format("{}x{}", rows, length)},
                     {"dtype", runtime.dtype_name()},
                     {"threads", runtime.threads},
                     {"trainable", trainable->parameters().parameter_count()},
                     {"ms", median},
                     {"ms_min", times.front()},
                     {"ms_max", times.back()},
                     {"tokens_per_second", static_cast<double>(rows * length) / median * 1000},
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
