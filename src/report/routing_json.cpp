#include "report/routing_json.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "adapters/expert_similarity.h"
#include "adapters/routing_summary.h"

namespace morex::report {
namespace {

Json number(double value) {
  const double shown = std::round(value * 1e4) / 1e4;
  return std::isfinite(shown) ? Json(shown) : Json();
}

Json list(const std::vector<double>& values) {
  Json all = Json::array();
  for (const double value : values) all.push_back(number(value));
  return all;
}

double similarity_of(const TracedGate& gate) {
  return gate.cosines.defined() ? adapters::mean_cosine(gate.cosines) : std::numeric_limits<double>::quiet_NaN();
}

const char* shape_name(adapters::GateKind kind) {
  return kind == adapters::GateKind::kTree ? "tree" : kind == adapters::GateKind::kPairs ? "pairs" : "flat";
}

Json describe_gate(const TracedGate& gate, const TraceCut& cut, const PackTensor& pack) {
  Json tokens = Json::object();
  const auto add = [&](const char* name, const at::Tensor& values) {
    if (values.defined()) tokens[name] = pack(values.narrow(0, 0, cut.shown));
  };
  add("ids", gate.ids);
  add("weights", gate.weights);
  add("main", gate.main);
  add("firsts", gate.firsts);
  Json json = {{"share", list(gate.numbers.share)},
               {"weight", list(gate.numbers.weight)},
               {"entropy", number(gate.numbers.entropy)},
               {"entropy_after", number(gate.numbers.entropy_after)},
               {"dead", adapters::dead_experts(gate.numbers)},
               {"similarity", number(similarity_of(gate))},
               {"tokens", std::move(tokens)}};
  if (cut.cosines && gate.cosines.defined()) json["cosines"] = pack(gate.cosines);
  if (!gate.main_mean.empty()) {
    json["main"] = list(gate.main_mean);
    json["agreement"] = number(gate.agreement);
  }
  return json;
}

Json describe_site(const TracedSite& traced, const TraceCut& cut, const PackTensor& pack) {
  const adapters::RoutedSite& site = traced.site;
  Json gates = Json::array();
  for (size_t l = 0; l < traced.gates.size(); ++l) {
    Json gate = describe_gate(traced.gates[l], cut, pack);
    gate["level"] = l;
    gate["experts"] = traced.gates[l].numbers.share.size();
    gate["active"] = site.shape.kind == adapters::GateKind::kPairs ? 0 : site.shape.levels[l].active;
    gates.push_back(std::move(gate));
  }
  Json json = {{"module", site.module}, {"layer", site.layer},      {"shape", shape_name(site.shape.kind)},
               {"method", site.method}, {"experts", site.experts},  {"router", site.router},
               {"prior", site.prior},   {"gates", std::move(gates)}};
  if (site.shape.kind == adapters::GateKind::kPairs)
    json["pairs"] = {site.shape.levels[0].experts, site.shape.levels[1].experts};
  if (std::isfinite(traced.omega)) json["omega"] = number(traced.omega);
  if (std::isfinite(traced.gamma)) json["gamma"] = number(traced.gamma);
  if (site.shape.kind != adapters::GateKind::kTree) return json;
  json["flows"] = Json::array();
  for (const auto& level : traced.flows) {
    Json rows = Json::array();
    for (const auto& row : level) rows.push_back(list(row));
    json["flows"].push_back(std::move(rows));
  }
  json["paths"] = Json::array();
  for (const TreePath& path : traced.paths)
    json["paths"].push_back({{"experts", path.experts}, {"weight", number(path.weight)}});
  return json;
}

Json describe_summary(const RoutingTrace& trace) {
  std::vector<nn::GateNumbers> numbers;
  std::vector<double> similarities;
  int64_t experts = 0;
  double agreement = 0, mixtures = 0;
  for (const TracedSite& site : trace.sites)
    for (const TracedGate& gate : site.gates) {
      numbers.push_back(gate.numbers);
      similarities.push_back(similarity_of(gate));
      experts += static_cast<int64_t>(gate.numbers.share.size());
      if (!gate.main_mean.empty()) agreement += gate.agreement, mixtures += 1;
    }
  const adapters::RoutingSummary summary = adapters::summarise(numbers, similarities);
  Json json = {{"entropy", number(summary.entropy)},       {"entropy_after", number(summary.entropy_after)},
               {"max_share", number(summary.max_share)},   {"max_weight", number(summary.max_weight)},
               {"dead_experts", summary.dead_experts},     {"experts", experts},
               {"similarity", number(summary.similarity)}, {"gates", numbers.size()}};
  if (mixtures > 0) json["agreement"] = number(agreement / mixtures);
  return json;
}

}  // namespace

Json plain_rows(const at::Tensor& values) {
  const bool whole = !values.is_floating_point();
  const at::Tensor v = values.to(at::kDouble).contiguous();
  const double* at_row = v.const_data_ptr<double>();
  Json rows = Json::array();
  for (int64_t r = 0; r < v.size(0); ++r, at_row += v.size(1)) {
    Json row = Json::array();
    for (int64_t i = 0; i < v.size(1); ++i)
      row.push_back(whole ? Json(static_cast<int64_t>(at_row[i])) : number(at_row[i]));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json describe_trace(const RoutingTrace& trace, const TraceLabels& labels, const TraceCut& cut, const PackTensor& pack) {
  Json sequences = Json::array();
  int64_t left = cut.shown;
  for (const TracedSequence& sequence : trace.sequences) {
    if (left <= 0) break;
    const auto shown = static_cast<std::ptrdiff_t>(std::min(left, static_cast<int64_t>(sequence.ids.size())));
    left -= shown;
    sequences.push_back({{"name", sequence.name},
                         {"length", sequence.ids.size()},
                         {"ids", std::vector<int64_t>(sequence.ids.begin(), sequence.ids.begin() + shown)},
                         {"texts", std::vector<std::string>(sequence.texts.begin(), sequence.texts.begin() + shown)}});
    Json scores = Json::object();
    for (const auto& [count, values] : sequence.cluster_scores) scores[std::to_string(count)] = list(values);
    if (!scores.empty()) sequences.back()["cluster_scores"] = std::move(scores);
  }
  Json sites = Json::array();
  for (const TracedSite& site : trace.sites) sites.push_back(describe_site(site, cut, pack));
  return {{"adapter", labels.adapter}, {"model", labels.model},    {"source", labels.source},
          {"tokens", trace.tokens},    {"shown", cut.shown},       {"summary", describe_summary(trace)},
          {"sequences", sequences},    {"sites", std::move(sites)}};
}

}  // namespace morex::report
