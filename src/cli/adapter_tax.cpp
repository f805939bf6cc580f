#include "cli/adapter_tax.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "cli/output.h"

namespace morex::cli {

namespace {

OrderedJson to_json(const train::Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

std::string milliseconds(const train::Spread& ms) {
  const int digits = ms.median < 100 ? 2 : 0;
  return fmt::format("{:.{}f} ({:.{}f} … {:.{}f})", ms.median, digits, ms.low, digits, ms.high, digits);
}

std::string ratio(const train::Spread& of) { return fmt::format("{:.3f}x", of.median); }

std::string title_of(const train::PhaseTax& phase, const train::TaxOptions& options) {
  if (phase.phase == "decode") return fmt::format("decode, one token behind {}", options.length);
  const char* name = phase.phase == "train" ? "training step" : "prefill";
  return fmt::format("{}, {} x {} tokens", name, options.rows, options.length);
}

}  // namespace

OrderedJson tax_to_json(const train::Tax& tax, const train::TaxOptions& options) {
  OrderedJson json = {{"rows", options.rows},
                      {"length", options.length},
                      {"rounds", options.rounds},
                      {"parameters", tax.parameters},
                      {"lora_rank", tax.lora_rank},
                      {"lora_parameters", tax.lora_parameters},
                      {"adapter_bytes", tax.adapter_bytes},
                      {"training_bytes", tax.training_bytes},
                      {"phases", OrderedJson::object()}};
  for (const train::PhaseTax& phase : tax.phases) {
    OrderedJson variants = OrderedJson::array();
    const train::VariantTax& base = phase.variants.front();
    for (const train::VariantTax& variant : phase.variants)
      variants.push_back({{"name", variant.name},
                          {"ms", to_json(variant.ms)},
                          {"over_base", to_json(variant.over_base)},
                          {"over_lora", to_json(variant.over_lora)},
                          {"extra_ms", variant.ms.median - base.ms.median},
                          {"flops", variant.flops},
                          {"peak_bytes", variant.peak_bytes},
                          {"extra_peak_bytes", variant.peak_bytes - base.peak_bytes}});
    json["phases"][phase.phase] = {{"tokens", phase.tokens}, {"variants", std::move(variants)}};
  }
  return json;
}

void print_tax(const train::Tax& tax, const train::TaxOptions& options) {
  fmt::print(
      "\nMeasured in turns, {} rounds: median (lowest … highest) of milliseconds, medians of the rounds' ratios.\n",
      options.rounds);
  for (const train::PhaseTax& phase : tax.phases) {
    Table table({title_of(phase, options), "ms", "extra ms", "over base", "over LoRA", "peak memory", "GFLOP"});
    const train::VariantTax& base = phase.variants.front();
    for (const train::VariantTax& variant : phase.variants) {
      const bool lora = variant.name == "lora" && &variant == &phase.variants[1];
      table.add({lora ? fmt::format("LoRA of equal size, r={}", tax.lora_rank) : variant.name, milliseconds(variant.ms),
                 fmt::format("{:+.2f}", variant.ms.median - base.ms.median), ratio(variant.over_base),
                 ratio(variant.over_lora), format_bytes(static_cast<double>(variant.peak_bytes)),
                 fmt::format("{:.2f}", variant.flops / 1e9)});
    }
    fmt::print("\n{}", table.text());
  }
  fmt::print("\n{}",
             aligned_pairs({{"adapter", format_bytes(static_cast<double>(tax.adapter_bytes)) + " of values, " +
                                            format_bytes(static_cast<double>(tax.training_bytes)) +
                                            " with gradients and moments"},
                            {"LoRA", fmt::format("{} parameters against {}", with_thousands(tax.lora_parameters),
                                                 with_thousands(tax.parameters))}}));
}

}  // namespace morex::cli
