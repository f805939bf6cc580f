// Times the two executors of flat experts, dense and gather, in turns on one adapted projection:
//   morex_executor_bench [ROUNDS]
// prints one JSON line a case: {phase, dtype, tokens, d, out, experts, rank, top_k, dense_us, gather_us, ratio, low,
// high}; phase train is forward and backward, decode the forward pass alone; the base's product is in neither. ratio is
// the median of dense/gather over the rounds (above 1: gather is faster), low and high its quartiles.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "ops/arena_allocator.h"

namespace {

using namespace morex;

struct Shape {
  int64_t tokens, d, out, experts, rank, top_k;
  at::ScalarType dtype;
};

// One projection without a base product: y starts as zeros.
class Bench {
 public:
  Bench(const Shape& shape, const char* execution) : shape_(shape) {
    group_.layer = 0;
    group_.members.push_back({"model.layers.0.mlp.up_proj", {at::zeros({shape.out, shape.d}, shape.dtype), false}, {}});
    slots_.groups.push_back(&group_);
    const Json method = {
        {"target_modules", {"up_proj"}},
        {"experts",
         {{"kind", "low_rank_experts"}, {"r", shape.rank}, {"num_experts", shape.experts}, {"execution", execution}}},
        {"router", {{"kind", "top_k"}, {"top_k", shape.top_k}}}};
    Warnings warnings(false, false);
    set_ = adapters::AdapterSet::create(method, slots_, at::kFloat, at::kCPU, warnings);
    set_->initialize(1);
    set_->attach();
    x_ = at::randn({shape.tokens, shape.d}, shape.dtype);
    dy_ = at::randn({shape.tokens, shape.out}, shape.dtype);
    ctx_.batch = 1;
    ctx_.length = shape.tokens;
  }

  // Microseconds of `repeats` passes, each.
  double run(bool train, int64_t repeats) {
    ctx_.phase = train ? nn::Phase::kTrain : nn::Phase::kDecode;
    if (!train && !ctx_.fixed) ctx_.fixed = std::make_shared<nn::FixedValues>();
    const at::AutoGradMode grad(train);
    const at::Tensor x = train ? x_.detach().requires_grad_(true) : x_;
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < repeats; ++i) {
      nn::RoutingReport report;
      nn::GroupOutputs y(std::vector<at::Tensor>{at::zeros({shape_.tokens, shape_.out}, shape_.dtype)});
      group_.adapter->apply(x, y, ctx_, report);
      if (train) y.formed(0).backward(dy_);
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    return took.count() / static_cast<double>(repeats);
  }

 private:
  Shape shape_;
  nn::LinearGroup group_;
  nn::SlotTable slots_;
  std::unique_ptr<adapters::AdapterSet> set_;
  at::Tensor x_, dy_;
  nn::BatchContext ctx_;
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

void measure(const Shape& shape, bool train, int64_t rounds) {
  Bench dense(shape, "dense"), gather(shape, "gather");
  const double once = std::max(dense.run(train, 2), gather.run(train, 2));          // also warms up
  const auto repeats = std::max<int64_t>(1, static_cast<int64_t>(20000.0 / once));  // about 20 ms a turn
  std::vector<double> dense_us, gather_us, ratios;
  for (int64_t round = 0; round < rounds; ++round) {
    dense_us.push_back(dense.run(train, repeats));
    gather_us.push_back(gather.run(train, repeats));
    ratios.push_back(dense_us.back() / gather_us.back());
  }
  const Json line = {{"phase", train ? "train" : "decode"},
                     {"dtype", c10::toString(shape.dtype)},
                     {"tokens", shape.tokens},
                     {"d", shape.d},
                     {"out", shape.out},
                     {"experts", shape.experts},
                     {"rank", shape.rank},
                     {"top_k", shape.top_k},
                     {"dense_us", quantile(dense_us, 0.5)},
                     {"gather_us", quantile(gather_us, 0.5)},
                     {"ratio", quantile(ratios, 0.5)},
                     {"low", quantile(ratios, 0.25)},
                     {"high", quantile(ratios, 0.75)}};
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  keep_freed_memory();
  ops::use_arena_allocator();
  const int64_t rounds = argc > 1 ? std::stoll(argv[1]) : 15;
  MOREX_CHECK(rounds > 0, ErrorKind::kConfig, "the rounds must be positive, got {}", rounds);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [d, out] :
         std::vector<std::pair<int64_t, int64_t>>{{576, 576}, {576, 1536}, {1536, 576}, {1536, 1536}})
      for (const int64_t rank : {8, 16, 64}) {
        for (const int64_t tokens : {1024, 128}) measure({tokens, d, out, 8, rank, 2, dtype}, true, rounds);
        for (const int64_t tokens : {1, 4}) measure({tokens, d, out, 8, rank, 2, dtype}, false, rounds);
      }
  // Other numbers of tokens.
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t rank : {16, 64}) {
      for (const int64_t tokens : {256, 512, 2048}) measure({tokens, 576, 1536, 8, rank, 2, dtype}, true, rounds);
      for (const int64_t tokens : {2, 8, 16, 32}) measure({tokens, 576, 1536, 8, rank, 2, dtype}, false, rounds);
    }
  // Other numbers of experts, and of them chosen.
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [experts, top_k] :
         std::vector<std::pair<int64_t, int64_t>>{{4, 1}, {4, 2}, {8, 1}, {8, 4}, {16, 2}})
      for (const int64_t rank : {8, 16, 32, 64}) {
        measure({1024, 576, 1536, experts, rank, top_k, dtype}, true, rounds);
        measure({1, 576, 1536, experts, rank, top_k, dtype}, false, rounds);
      }
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "morex_executor_bench: {}\n", error.what());
  return 1;
}
