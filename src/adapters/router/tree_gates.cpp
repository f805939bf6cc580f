#include "adapters/router/tree_gates.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "adapters/router/flat_choice.h"
#include "adapters/router/gate_noise.h"
#include "base/error.h"
#include "ops/row_softmax.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

// [R]: 1 for rows of real tokens; undefined when all are.
at::Tensor row_mask(const TokenRows& rows, int64_t parents) {
  return rows.mask.defined() ? rows.mask.repeat_interleave(parents) : at::Tensor();
}

at::Tensor masked(const at::Tensor& values, const at::Tensor& mask) {
  return mask.defined() ? values * mask.unsqueeze(1) : values;
}

void report(const TreeGateInput& input, const ops::TopK& chosen, const at::Tensor& mask,
            std::map<std::string, at::Tensor> sums, const TokenRows& rows) {
  const at::Tensor& logits = input.logits;
  nn::GateReport gate;
  gate.level = input.level;
  gate.sums = std::move(sums);
  gate.counts = count_chosen(chosen.ids, mask, logits);
  gate.rows = mask.defined() ? mask.sum()
                             : at::full({}, static_cast<double>(logits.size(0)), logits.options().requires_grad(false));
  rows.recorder->gates.push_back(std::move(gate));
}

LevelGates choose_switch(const TreeGateInput& input, int64_t tokens, const TokenRows& rows) {
  const int64_t parents = input.logits.size(0) / std::max<int64_t>(tokens, 1);
  const at::Tensor pi = ops::row_softmax(input.logits);  // [R, s]
  const ops::TopK chosen = ops::top_k(pi, input.active, /*shares=*/input.active > 1);
  record_distribution(input.reported.defined() ? input.reported : pi, input.level, rows);
  if (rows.recorder != nullptr) {
    const at::Tensor mask = row_mask(rows, parents);
    report(input, chosen, mask, {{"probability", masked(input.reported.defined() ? input.reported : pi, mask).sum(0)}},
           rows);
  }
  return {chosen.ids.view({tokens, parents, input.active}), chosen.values.view({tokens, parents, input.active})};
}

at::Tensor normal_cdf(const at::Tensor& x) { return 0.5 * (1.0 + at::erf(x * M_SQRT1_2)); }

LevelGates choose_noisy(const TreeGateInput& input, int64_t tokens, const TokenRows& rows) {
  const int64_t parents = input.logits.size(0) / std::max<int64_t>(tokens, 1), f = input.active;
  const bool training = input.noise_scale.defined();
  MOREX_CHECK(
      !training || f < input.logits.size(1), ErrorKind::kConfig,
      "[router] noisy_topk must choose fewer experts than there are in training, got {} of {}. Hint: gate switch or "
      "dense",
      f, input.logits.size(1));
  const at::Tensor z =
      training ? input.logits + gate_noise(input.logits, input.level, parents, rows) * input.noise_scale : input.logits;
  const ops::TopK ranked = ops::top_k(z, training ? f + 1 : f);
  const ops::TopK chosen{ranked.ids.narrow(1, 0, f).contiguous(), ranked.values.narrow(1, 0, f)};
  // DEVIATION: the official code takes this softmax in float32 even in a float64 run.
  const at::Tensor alone = input.logarithms ? at::exp(chosen.values) : chosen.values;
  const at::Tensor weights = f > 1 ? ops::row_softmax(chosen.values) : alone;  // [R, f]
  if (rows.recorder != nullptr) {
    if (rows.recorder->keep_distributions) record_distribution(ops::row_softmax(z), input.level, rows);
    const at::Tensor mask = row_mask(rows, parents);
    const at::Tensor spread = masked(at::zeros_like(z).scatter(1, chosen.ids, weights), mask);  // [R, s]
    at::Tensor load;
    if (training) {
      const at::Tensor inside = ranked.values.narrow(1, f, 1), outside = ranked.values.narrow(1, f - 1, 1);
      const at::Tensor threshold = at::where(z > inside, inside, outside);
      load = masked(normal_cdf((input.logits - threshold) / input.noise_scale), mask).sum(0);
    } else {
      load = (spread > 0).sum(0).to(z.scalar_type());
    }
    report(input, chosen, mask, {{"importance", spread.sum(0)}, {"load", load}}, rows);
  }
  return {chosen.ids.view({tokens, parents, f}), weights.reshape({tokens, parents, f})};
}

}  // namespace

at::Tensor unit_rows(const at::Tensor& x) { return x / at::clamp_min(at::norm(x, 2, {1}, true), 1e-12); }

LevelGates choose(const TreeGateInput& input, int64_t tokens, const TokenRows& rows) {
  switch (input.kind) {
    case TreeGate::kSwitch:
      return choose_switch(input, tokens, rows);
    case TreeGate::kNoisyTopK:
      return choose_noisy(input, tokens, rows);
    case TreeGate::kDense:
      break;
  }
  const at::Tensor pi = ops::row_softmax(input.logits);  // [R, s]
  record_distribution(pi, input.level, rows);
  return {at::Tensor(), pi.view({tokens, -1, pi.size(1)})};
}

}  // namespace morex::adapters
