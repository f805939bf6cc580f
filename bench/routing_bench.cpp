// What looking at the routing adds to a training step, in processor time, which other work on the machine disturbs less
// than the clock on the wall:
//   morex_routing_bench MODEL METHOD DTYPE [BATCH LENGTH ROUNDS]
// prints one JSON line: {method, shape, dtype, step_ms, tally_ms, log_ms, tally_share, log_share}, the smallest of the
// rounds each. `tally_ms`: what every step adds, handing over and reducing rows of the shapes that the gates of all
// sites have in this batch (the difference between two forward passes drowns in their noise); `log_ms`: what a logged
// step adds besides, the line of routing.jsonl as text included. Shares are of `step_ms`.
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <tuple>

#include "base/json.h"
#include "base/system.h"
#include "models/causal_lm.h"
#include "ops/arena_allocator.h"
#include "train/optimizer.h"
#include "train/phase_work.h"
#include "train/routing_log.h"
#include "train/runtime.h"
#include "train/trainable.h"

namespace {

using namespace morex;

template <typename Work>
double processor_ms(const Work& work) {
  const std::clock_t begin = std::clock();
  work();
  return 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

struct HandedOver {
  std::string site;
  int64_t level = 0;
  nn::GateRows rows;
};

// What the gates of every site leave for `tokens` tokens, drawn at random.
std::vector<HandedOver> rows_of_all_gates(const adapters::AdapterSet& set, int64_t tokens) {
  std::vector<HandedOver> all;
  for (const adapters::RoutedSite& site : set.routed_sites()) {
    int64_t parents = 1;
    const bool pairs = site.shape.kind == adapters::GateKind::kPairs;
    for (size_t l = pairs ? 1 : site.shape.levels.size(); l-- > 0;) {
      const int64_t experts = pairs ? adapters::gate_count(site.shape) : site.shape.levels[l].experts;
      const int64_t active = pairs ? 0 : site.shape.levels[l].active;
      HandedOver made{site.module, static_cast<int64_t>(l), {}};
      made.rows.distribution = at::softmax(at::randn({tokens * parents, experts}), 1);
      made.rows.weights = made.rows.distribution;
      if (active > 0 && active < experts)
        std::tie(made.rows.weights, made.rows.ids) = at::topk(made.rows.distribution, active, 1);
      all.push_back(std::move(made));
      parents *= std::max<int64_t>(1, active);
    }
  }
  return all;
}

int run(int argc, char** argv) {
  MOREX_CHECK(argc >= 4, ErrorKind::kConfig, "usage: morex_routing_bench MODEL METHOD DTYPE [BATCH LENGTH ROUNDS]");
  keep_freed_memory();
  ops::use_arena_allocator();
  const auto number = [&](int index, int64_t fallback) { return argc > index ? std::stoll(argv[index]) : fallback; };
  const int64_t rows = number(4, 8), length = number(5, 128), rounds = number(6, 15);
  Warnings warnings;
  train::Recipe recipe;
  recipe.model_name_or_path = argv[1];
  recipe.dtype = argv[3];
  recipe.method = {{"method", argv[2]}};  // a preset
  recipe.threads = 1;                     // threads that wait for each other burn processor time
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto model = models::load_model(argv[1], {runtime.dtype, runtime.device}, warnings);
  const auto trainable = train::make_trainable(recipe, runtime, *model, warnings);
  train::Optimizer optimizer(trainable->parameters(), recipe);
  const adapters::AdapterSet& set = *trainable->adapter_set();
  std::vector<int64_t> gate_counts;  // a prior of clusters has a score for each gate
  for (const adapters::RoutedSite& site : set.routed_sites()) gate_counts.push_back(adapters::gate_count(site.shape));
  const train::DeviceBatch batch = train::synthetic_batch(*model, rows, length, gate_counts);
  nn::RoutingTally tally(set.routed_gates());

  std::vector<double> steps, tallies, logs;
  for (int64_t step = 0; step < 3; ++step)
    steps.push_back(processor_ms([&] {
      const auto auxiliary = [&](const nn::RoutingReport& report) { return trainable->auxiliary_loss(report); };
      train::train_pass(*model, trainable->parameters(), auxiliary, batch);
      optimizer.step(recipe.learning_rate, step);
    }));
  const std::vector<HandedOver> handed = rows_of_all_gates(set, rows * length);
  for (int64_t round = 0; round < rounds; ++round) {
    tallies.push_back(processor_ms([&] {
      for (const HandedOver& gate : handed) tally.add(gate.site, gate.level, gate.rows);
      tally.flush();
    }));
    logs.push_back(processor_ms([&] {
      const train::RoutingLog log = train::describe_routing(tally, set.expert_cosines());
      if (log.line.dump().empty()) fail(ErrorKind::kRun, "nothing was logged");
    }));
  }
  const auto least = [](const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); };
  const double step = least(steps), counted = least(tallies), logged = least(logs);
  const Json line = {{"method", argv[2]},
                     {"shape", fmt::format("{}x{}", rows, length)},
                     {"dtype", runtime.dtype_name()},
                     {"step_ms", step},
                     {"tally_ms", counted},
                     {"log_ms", logged},
                     {"tally_share", counted / step},
                     {"log_share", logged / step}};
  fmt::print("{}\n", line.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "morex_routing_bench: {}\n", error.what());
    return 1;
  }
}
