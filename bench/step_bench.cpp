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
#include "cases.h"
#include "models/causal_lm.h"
#include "train/gradients.h"
#include "train/optimizer.h"
#include "train/runtime.h"
#include "train/trainable.h"

namespace {

using namespace morex;

int run(int argc, char** argv) {
  MOREX_CHECK(argc >= 4, ErrorKind::kConfig, "usage: morex_bench MODEL CASE DTYPE [BATCH LENGTH STEPS]");
  keep_freed_memory();
  const auto number = [&](int index, int64_t fallback) { return argc > index ? std::stoll(argv[index]) : fallback; };
  const int64_t rows = number(4, 8), length = number(5, 128), steps = number(6, 7);
  Warnings warnings;
  train::Recipe recipe;
  recipe.model_name_or_path = argv[1];
  recipe.dtype = argv[3];
  recipe.method = bench::method_of_case(argv[2]);
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(argv[1], {runtime.dtype, runtime.device}, warnings);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const std::vector<data::Batch> window = {bench::fixed_batch(rows, length, model->config().vocab_size)};

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
