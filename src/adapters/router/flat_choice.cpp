#include "adapters/router/flat_choice.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace morex::adapters {
namespace {

at::Tensor real_rows(const at::Tensor& values, const TokenRows& rows) {
  if (!rows.mask.defined()) return values;
  return values * (values.dim() == 1 ? rows.mask : rows.mask.unsqueeze(1));
}

// [n, E] 1 for chosen experts, of a choice that has places for all.
at::Tensor selection(const Chosen& chosen, const at::Tensor& pi) {
  if (chosen.selected.defined()) return chosen.selected;
  return at::ones_like(pi.detach());
}

void keep_details(const Chosen& chosen, const at::Tensor& pi, const at::Tensor& logits, Recorder& recorder) {
  recorder.details.emplace_back("logits", logits);
  recorder.details.emplace_back("pi", pi);
  const at::Tensor weights = dense_weights(chosen, pi.size(1));
  const bool full = chosen.overflow.defined();  // such a row's weight is none of an expert's
  recorder.details.emplace_back("g", full ? weights * chosen.overflow.logical_not().unsqueeze(1) : weights);
  if (chosen.ids.defined()) recorder.details.emplace_back("ids", chosen.ids);
  if (chosen.entropy.defined()) recorder.details.emplace_back("entropy", chosen.entropy);
  if (chosen.overflow.defined()) recorder.details.emplace_back("overflow", chosen.overflow.to(at::kLong));
  for (const auto& detail : chosen.details) recorder.details.push_back(detail);
}

}  // namespace

const std::vector<TensorSpec>& FlatChoice::tensors() const {
  static const std::vector<TensorSpec> none;
  return none;
}

JsonReader read_flat_options(const Json& options, const std::vector<std::string>& keys) {
  const JsonReader reader(options, "router", ErrorKind::kConfig);
  std::vector<std::string> known = {"kind", "init_std", "logit_temperature", "jitter_noise"};
  known.insert(known.end(), keys.begin(), keys.end());
  reader.refuse_unknown_keys(known);
  return reader;
}

at::Tensor count_chosen(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& like) {
  if (!ids.is_cpu()) {
    const at::Tensor hits = ids.unsqueeze(2).eq(at::arange(like.size(1), ids.options())).to(like.scalar_type());
    return (mask.defined() ? hits * mask.detach().view({-1, 1, 1}) : hits)
        .sum(at::IntArrayRef{0, 1});  // from [n, k, E]
  }
  std::optional<at::Tensor> each;
  if (mask.defined()) each = mask.detach().unsqueeze(1).expand(ids.sizes()).flatten();
  return at::bincount(ids.flatten(), each, like.size(1)).to(like.scalar_type());
}

at::Tensor running_sums(const at::Tensor& values) {
  if (values.is_cpu()) return at::cumsum(values, 1);
  return at::matmul(values, at::ones({values.size(1), values.size(1)}, values.options()).triu());
}

at::Tensor dense_weights(const Chosen& chosen, int64_t experts) {
  if (!chosen.ids.defined()) return chosen.weights;
  return at::zeros({chosen.ids.size(0), experts}, chosen.weights.options().requires_grad(false))
      .scatter(1, chosen.ids, chosen.weights);
}

LevelGates flat_gates(const Chosen& chosen) {
  return {chosen.ids.defined() ? chosen.ids.unsqueeze(1) : at::Tensor(), chosen.weights.unsqueeze(1), chosen.overflow};
}

void add_sum(nn::GateReport& gate, const std::string& kind, const std::string& name, const at::Tensor& values,
             const TokenRows& rows) {
  const Recorder& recorder = *rows.recorder;
  const bool masked = rows.mask.defined(), all = recorder.wants(kind + ".all");
  if (recorder.wants(kind) || (!masked && all)) gate.sums[name] = real_rows(values, rows).sum(0);
  if (masked && all) gate.sums[name + ".all"] = values.sum(0);
}

void report_flat(const Chosen& chosen, const at::Tensor& pi, const at::Tensor& logits, const TokenRows& rows) {
  if (rows.recorder == nullptr) return;
  record_distribution(pi, 0, rows);
  Recorder& recorder = *rows.recorder;
  nn::GateReport gate;
  const auto add = [&](const char* kind, const char* name, const at::Tensor& values) {
    add_sum(gate, kind, name, values, rows);
  };
  const bool by_ids = chosen.ids.defined() && !chosen.selected.defined();
  const at::Tensor picked = by_ids ? at::Tensor() : selection(chosen, pi);  // [n, E]
  gate.counts = by_ids ? count_chosen(chosen.ids, rows.mask, pi) : real_rows(picked, rows).sum(0);
  gate.rows = rows.mask.defined() ? rows.mask.sum()
                                  : at::full({}, static_cast<double>(pi.size(0)), pi.options().requires_grad(false));
  if (rows.mask.defined()) {
    gate.sums["counts.all"] = by_ids ? count_chosen(chosen.ids, {}, pi) : picked.sum(0);
    gate.sums["rows.all"] = at::full({}, static_cast<double>(pi.size(0)), pi.options().requires_grad(false));
  }
  const auto weights = [&] { return dense_weights(chosen, pi.size(1)); };
  if (chosen.load.defined()) {
    add("balance", "importance", weights());
    add("balance", "load", chosen.load);
  } else {
    add("balance", "probability", chosen.averaged.defined() ? chosen.averaged : pi);
    if (chosen.shares.defined()) add("balance", "shares", chosen.shares);
  }
  if (recorder.wants("importance") || recorder.wants("importance.all")) add("importance", "importance", weights());
  if (recorder.wants("z") || recorder.wants("z.all")) {
    const at::Tensor z = at::logsumexp(logits, {-1}).square();  // [n] or [n, N]
    add("z", "z", z.dim() == 2 ? z.mean(1) : z);
  }
  if (recorder.wants("entropy") || recorder.wants("entropy.all")) {
    const bool given = recorder.needs != nullptr && recorder.needs->entropy.has_value();
    const at::Tensor entropy = !given && chosen.entropy.defined()
                                   ? chosen.entropy
                                   : normalised_entropy(pi, given ? *recorder.needs->entropy : EntropyForm{});
    add("entropy", "entropy", entropy);
  }
  if (recorder.wants("localized")) {
    // Padding counts, as in LoRAMoE.
    gate.sums["by_sequence"] = at::zeros({rows.ctx.batch, pi.size(1)}, pi.options().requires_grad(false))
                                   .index_add(0, sequence_numbers(rows, pi.device()), pi);
    const auto types = rows.ctx.per_sequence.find("sample_types");
    if (types != rows.ctx.per_sequence.end()) gate.sample_types = types->second;
  }
  if (recorder.keep_details) keep_details(chosen, pi, logits, recorder);
  recorder.gates.push_back(std::move(gate));
}

}  // namespace morex::adapters
