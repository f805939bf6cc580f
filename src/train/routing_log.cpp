#include "train/routing_log.h"

#include <cmath>
#include <limits>
#include <map>

#include "adapters/expert_similarity.h"
#include "adapters/routing_summary.h"

namespace morex::train {
namespace {

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

std::vector<double> rounded(std::vector<double> values) {
  for (double& value : values) value = rounded(value);
  return values;
}

Json or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json describe(const nn::RoutedGate& gate, const nn::GateNumbers& numbers, double similarity) {
  return {{"site", gate.site},
          {"level", gate.level},
          {"rows", static_cast<int64_t>(numbers.rows)},
          {"share", rounded(numbers.share)},
          {"weight", rounded(numbers.weight)},
          {"entropy", or_null(rounded(numbers.entropy))},
          {"entropy_after", or_null(rounded(numbers.entropy_after))},
          {"dead", adapters::dead_experts(numbers)},
          {"similarity", or_null(rounded(similarity))}};
}

}  // namespace

RoutingLog describe_routing(const nn::RoutingTally& tally, const std::vector<at::Tensor>& cosines) {
  const std::vector<nn::RoutedGate>& gates = tally.gates();
  const std::vector<nn::GateNumbers> numbers = tally.numbers();
  std::vector<double> similarities;
  for (const at::Tensor& cosine : cosines)
    similarities.push_back(cosine.defined() ? adapters::mean_cosine(cosine) : std::numeric_limits<double>::quiet_NaN());
  const adapters::RoutingSummary all = adapters::summarise(numbers, similarities);
  RoutingLog log;
  log.metrics = {{"routing_dead_experts", all.dead_experts}};
  const std::pair<const char*, double> means[] = {{"routing_entropy", all.entropy},
                                                  {"routing_entropy_after", all.entropy_after},
                                                  {"routing_max_share", all.max_share},
                                                  {"routing_max_weight", all.max_weight},
                                                  {"expert_similarity", all.similarity}};
  for (const auto& [name, value] : means)
    if (std::isfinite(value)) log.metrics[name] = value;

  Json list = Json::array();
  std::map<int64_t, std::pair<std::vector<nn::GateNumbers>, std::vector<double>>> layers;
  for (size_t i = 0; i < gates.size(); ++i) {
    list.push_back(describe(gates[i], numbers[i], similarities[i]));
    layers[gates[i].layer].first.push_back(numbers[i]);
    layers[gates[i].layer].second.push_back(similarities[i]);
  }
  log.line = {{"gates", std::move(list)}};
  for (const auto& [layer, values] : layers) {
    const adapters::RoutingSummary summary = adapters::summarise(values.first, values.second);
    const std::string prefix = fmt::format("routing/layer_{:03}/", layer);
    const auto add = [&](const char* name, double value) {
      if (std::isfinite(value)) log.scalars.emplace_back(prefix + name, value);
    };
    add("entropy", summary.entropy);
    add("entropy_after", summary.entropy_after);
    add("max_share", summary.max_share);
    add("dead_experts", static_cast<double>(summary.dead_experts));
    add("similarity", summary.similarity);
  }
  return log;
}

}  // namespace morex::train
