#include "report/routing_trace.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"
#include "report/site_tracer.h"

namespace morex::report {
namespace {

constexpr std::string_view kScores = "cluster_scores";

// "cluster_scores" or "cluster_scores.K", each [1, K].
void keep_cluster_scores(const nn::BatchContext& ctx, TracedSequence& sequence) {
  for (const auto& [name, value] : ctx.per_sequence) {
    if (!name.starts_with(kScores)) continue;
    const at::Tensor row = value.to(at::kCPU, at::kDouble).reshape({-1}).contiguous();
    const double* scores = row.const_data_ptr<double>();
    sequence.cluster_scores[row.numel()] = {scores, scores + row.numel()};
  }
}

std::vector<SiteTracer> tracers_of(const adapters::AdapterSet& adapter, int64_t layer) {
  std::vector<adapters::RoutedSite> sites = adapter.routed_sites();
  MOREX_CHECK(!sites.empty(), ErrorKind::kConfig,
              "[adapter] has no routing to look at: its experts are always on. Hint: `morex inspect adapter` shows "
              "what it is");
  if (layer >= 0) {
    std::erase_if(sites, [layer](const adapters::RoutedSite& site) { return site.layer != layer; });
    MOREX_CHECK(!sites.empty(), ErrorKind::kConfig, "[layer] must be a decoder layer with routed sites, {} has none",
                layer);
  }
  std::stable_sort(sites.begin(), sites.end(),
                   [](const adapters::RoutedSite& a, const adapters::RoutedSite& b) { return a.layer < b.layer; });
  std::vector<SiteTracer> tracers;
  for (adapters::RoutedSite& site : sites) tracers.emplace_back(std::move(site));
  return tracers;
}

// One pass over the sequence, the head included where it is routed.
nn::RoutingReport run_model(const models::CausalLm& model, TracedSequence& sequence, bool with_head,
                            nn::RoutingTally& tally) {
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = static_cast<int64_t>(sequence.ids.size());
  const int64_t prompt = sequence.prompt_length > 0 ? sequence.prompt_length : ctx.length;
  model.read_prompts({nn::Prompt({sequence.ids.begin(), sequence.ids.begin() + prompt}, sequence.facts)}, ctx);
  keep_cluster_scores(ctx, sequence);
  nn::RoutingReport report;
  report.keep_details = true;
  report.tally = &tally;
  const at::Tensor ids = at::tensor(sequence.ids, at::kLong).unsqueeze(0).to(model.device());  // [1, L]
  const at::Tensor h = model.hidden(ids, ctx, report);
  if (with_head) model.logits(h, ctx, report);
  tally.flush();
  return report;
}

}  // namespace

RoutingTrace trace_routing(const models::CausalLm& model, const adapters::AdapterSet& adapter,
                           std::vector<TracedSequence> sequences, const TraceOptions& options,
                           const std::function<void(int64_t)>& poll) {
  const at::NoGradGuard no_gradients;
  std::vector<SiteTracer> tracers = tracers_of(adapter, options.layer);
  nn::RoutingTally tally(adapter.routed_gates());
  const bool with_head = tracers.front().site().layer < 0;  // sorted: layers outside the decoder come first

  RoutingTrace trace;
  for (size_t s = 0; s < sequences.size(); ++s) {
    MOREX_ASSERT(!sequences[s].ids.empty());
    const auto length = static_cast<int64_t>(sequences[s].ids.size());
    const nn::RoutingReport report = run_model(model, sequences[s], with_head, tally);
    const bool before_all_shown = trace.shown == trace.tokens;
    const bool show = s == 0 || (before_all_shown && trace.shown + length <= options.shown_tokens);
    for (SiteTracer& tracer : tracers) tracer.add(report.details, length, show);
    trace.tokens += length;
    if (show) trace.shown += length;
    poll(static_cast<int64_t>(s) + 1);
  }
  trace.sequences = std::move(sequences);

  std::map<std::pair<std::string, int64_t>, size_t> gate_of;
  for (size_t i = 0; i < tally.gates().size(); ++i) gate_of[{tally.gates()[i].site, tally.gates()[i].level}] = i;
  const std::vector<nn::GateNumbers> numbers = tally.numbers();
  const std::vector<at::Tensor> cosines = adapter.expert_cosines();
  for (const SiteTracer& tracer : tracers) {
    TracedSite site = tracer.finish();
    for (size_t l = 0; l < site.gates.size(); ++l) {
      const size_t gate = gate_of.at({site.site.module, static_cast<int64_t>(l)});
      site.gates[l].numbers = numbers[gate];
      site.gates[l].cosines = cosines[gate];
    }
    trace.sites.push_back(std::move(site));
  }
  return trace;
}

}  // namespace morex::report
