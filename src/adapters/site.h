// One adapted projection, the tensors that a method trains there, and the token rows it works on.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "adapters/entropy.h"
#include "nn/batch_context.h"
#include "nn/routing_report.h"

namespace morex::adapters {

struct Site {
  std::string module;  // "model.layers.0.mlp.up_proj"
  int64_t layer = -1;  // decoder layer
  int64_t d_in = 0, d_out = 0;
};

// Where a tensor is stored.
enum class Place {
  kDown,    // rows of the group's stacked down leaf [R + Q, d_in], before the router rows
  kRoute,   // router rows of that leaf
  kUp,      // rows of the site's up leaf [R', d_out]; the named tensor is their transpose [d_out, …]
  kUpBias,  // [d_out], added after the up product
  kOwn,     // a small leaf of its own
};

// How a tensor starts. A `pattern`, when set, is the value itself.
struct Init {
  enum class Kind { kConstant, kUniform, kNormal };
  Kind kind = Kind::kConstant;
  double a = 0.0;  // constant; lower bound; mean
  double b = 0.0;  // upper bound; standard deviation
  std::function<at::Tensor()> pattern;

  static Init constant(double value) { return {Kind::kConstant, value, 0.0, {}}; }
  static Init uniform(double low, double high) { return {Kind::kUniform, low, high, {}}; }
  static Init normal(double deviation) { return {Kind::kNormal, 0.0, deviation, {}}; }
  static Init kaiming(int64_t fan_in);  // U(-1/sqrt(fan_in), 1/sqrt(fan_in))
};

// One trainable tensor of a site.
struct TensorSpec {
  std::string name;  // in checkpoints, after the module's path: "lora_A.weight"
  Place place = Place::kOwn;
  std::vector<int64_t> shape;  // as named; kDown and kRoute end in d_in, kUp begins with d_out
  Init init;
  int64_t first_row = 0;  // kDown, kRoute, kUp: within the site's rows
};

// What the losses of a site's method need, known before the first step.
struct LossNeeds {
  std::set<std::string> kinds;         // "balance", "z" …; with ".all" behind it: of padded tokens too
  std::optional<EntropyForm> entropy;  // of the entropy loss; empty: the router's own
};

// Collects what routing leaves behind: the sums of the losses and, when asked for, details per token and the
// distributions that routers choose from.
struct Recorder {
  bool keep_details = false, keep_distributions = false;
  const LossNeeds* needs = nullptr;  // null: everything
  bool wants(const std::string& kind) const { return needs == nullptr || needs->kinds.contains(kind); }

  std::vector<nn::GateReport> gates;
  std::vector<std::pair<std::string, at::Tensor>> details;  // "level0.ids" -> [rows, …]
  std::map<int64_t, at::Tensor> distributions;              // by level: [rows · parents, E]
};

// Consecutive tokens of one site in one step.
struct TokenRows {
  const nn::BatchContext& ctx;
  const Site& site;
  int64_t first = 0, count = 0;
  at::Tensor mask;               // [count] 1 = real token, in the gates' dtype; undefined: all real
  Recorder* recorder = nullptr;  // null: nobody asks
};

// For a router to say, level by level, what it chose from: pi [rows · parents, E], each row sums to 1.
void record_distribution(const at::Tensor& pi, int64_t level, const TokenRows& rows);

// [count] int64: the sequence each row belongs to.
at::Tensor sequence_numbers(const TokenRows& rows, at::Device device);

}  // namespace morex::adapters
