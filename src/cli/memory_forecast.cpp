#include "cli/memory_forecast.h"

#include <algorithm>
#include <map>
#include <string>

namespace morex::cli {

namespace {

// Resident memory of the process with LibTorch loaded and no model, measured on x86-64 Linux.
constexpr double kProgramBytes = 150e6;
// Elements of the largest block of logits that the loss forms at once.
constexpr double kLogitElements = 1 << 24;

double base_elements(models::CausalLm& model) {
  double count = 0;
  for (const models::NamedWeight& weight : model.weights()) count += static_cast<double>(weight.slot->numel());
  return count;
}

// Of the frozen base: linear weights in eight bits take their integers and a float16 scale a block.
double weight_bytes(models::CausalLm& model, double element) {
  double bytes = base_elements(model) * element;
  for (const nn::LinearGroup* group : model.slots().groups) {
    for (const nn::LinearMember& member : group->members) {
      const nn::LinearWeight& weight = member.weight;
      if (!weight.in_8bit()) continue;
      bytes += static_cast<double>(weight.value.nbytes() + weight.scales.nbytes()) -
               static_cast<double>(weight.value.numel()) * element;
    }
  }
  return bytes;
}

double activation_elements(const models::ModelConfig& config, double tokens) {
  const auto hidden = static_cast<double>(config.hidden_size), inner = static_cast<double>(config.intermediate_size);
  const auto queries = static_cast<double>(config.num_attention_heads * config.head_dim);
  const auto keys = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double layer = 4 * hidden + 3 * queries + 2 * keys + 3 * inner;
  return tokens * layer * static_cast<double>(config.num_hidden_layers);
}

// The ranks of all sites: a site of P parameters between widths in and out has the size of a rank P / (in + out).
double total_rank(models::CausalLm& model, const std::vector<adapters::SiteCost>& costs) {
  std::map<std::string, double> widths;
  for (const nn::LinearGroup* group : model.slots().groups) {
    for (const nn::LinearMember& member : group->members) {
      widths[member.module] = static_cast<double>(member.weight.in_features() + member.weight.out_features());
    }
  }
  double ranks = 0;
  for (const adapters::SiteCost& cost : costs) {
    const auto width = widths.find(cost.module);
    if (width != widths.end()) ranks += static_cast<double>(cost.trainable) / width->second;
  }
  return ranks;
}

}  // namespace

MemoryForecast forecast_memory(models::CausalLm& model, const std::vector<adapters::SiteCost>& costs,
                               const MemoryInputs& inputs) {
  const double base = base_elements(model);
  double trainable = inputs.full ? base : 0;
  for (const adapters::SiteCost& cost : costs) trainable += static_cast<double>(cost.trainable);
  const auto tokens = static_cast<double>(inputs.tokens);
  const auto element = static_cast<double>(inputs.element_bytes), value = static_cast<double>(inputs.parameter_bytes);
  MemoryForecast forecast;
  forecast.program = kProgramBytes;
  forecast.weights = inputs.full ? 0 : weight_bytes(model, element);
  forecast.parameters = forecast.gradients = trainable * value;
  forecast.moments = 2 * trainable * value;
  forecast.activations =
      activation_elements(model.config(), tokens) * element + tokens * total_rank(model, costs) * sizeof(float);
  forecast.logits =
      std::min(tokens * static_cast<double>(model.config().vocab_size), kLogitElements) * (sizeof(float) + element);
  return forecast;
}

}  // namespace morex::cli
