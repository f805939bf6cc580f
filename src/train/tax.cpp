#include "train/tax.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "base/error.h"
#include "train/optimizer.h"
#include "train/peak_allocation.h"
#include "train/phase_work.h"

namespace morex::train {
namespace {

constexpr int64_t kDecodedTokens = 8;  // of one sample
constexpr const char* kPhases[] = {"train", "prefill", "decode"};

int64_t trainable_of(const adapters::AdapterSet& set) { return set.parameters().parameter_count(); }

std::unique_ptr<adapters::AdapterSet> equal_lora(models::CausalLm& model, const adapters::AdapterSet& set,
                                                 int64_t& rank, Warnings& warnings) {
  const Json method = equal_lora_method(model, set);
  rank = method["r"].get<int64_t>();
  auto lora = adapters::AdapterSet::create(method, model.slots(), set.parameters().dtype(), model.device(), warnings);
  lora->initialize(0);
  return lora;
}

// One of the three that are compared, with what training it needs.
struct Variant {
  Variant(std::string variant_name, adapters::AdapterSet* in_training, adapters::AdapterSet* in_inference)
      : name(std::move(variant_name)),
        trained(in_training),
        served(in_inference),
        optimizer(std::make_unique<Optimizer>(in_training->parameters(), Recipe())) {}

  std::string name;
  adapters::AdapterSet* trained;  // attached while training
  adapters::AdapterSet* served;   // attached while serving; null: nothing is
  std::unique_ptr<Optimizer> optimizer;
  int64_t updates = 0;
};

struct Attached {
  explicit Attached(adapters::AdapterSet* adapter_set) : set(adapter_set) {
    if (set != nullptr) set->attach();
  }
  ~Attached() {
    if (set != nullptr) set->detach();
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  adapters::AdapterSet* set;
};

class Measurement {
 public:
  Measurement(const models::CausalLm& model, const TaxOptions& options, const std::vector<int64_t>& cluster_counts)
      : model_(model),
        batch_(synthetic_batch(model, options.rows, options.length, cluster_counts)),
        single_(synthetic_batch(model, 1, options.length, cluster_counts)) {}

  // Milliseconds of the phase; with `peak` its memory instead.
  double run(const std::string& phase, Variant& variant, int64_t* peak) const {
    const Attached attached(phase == "train" ? variant.trained : variant.served);
    const auto take = [&](const std::function<void()>& work) {
      if (peak == nullptr) return milliseconds(model_, work);
      *peak = peak_allocation(work);
      return 0.0;
    };
    if (phase == "prefill") return take([&] { prefill_pass(model_, batch_); });
    if (phase == "decode") {
      DecodeWork decode(model_, single_);
      return take([&] {
               for (int64_t i = 0; i < kDecodedTokens; ++i) decode();
             }) /
             static_cast<double>(kDecodedTokens);
    }
    return take([&] {
      const auto auxiliary = [&](const nn::RoutingReport& report) { return variant.trained->auxiliary_loss(report); };
      train_pass(model_, variant.trained->parameters(), auxiliary, batch_);
      variant.optimizer->step(/*learning_rate=*/0.0, variant.updates++);
    });
  }

 private:
  const models::CausalLm& model_;
  DeviceBatch batch_, single_;
};

double adapter_flops(const adapters::AdapterSet* set) {
  double flops = 0;
  if (set != nullptr)
    for (const adapters::SiteCost& site : set->costs()) flops += site.flops_per_token + site.routing_flops;
  return flops;
}

double phase_flops(models::CausalLm& model, const std::string& phase, const adapters::AdapterSet* set,
                   const TaxOptions& options) {
  const auto tokens = static_cast<double>(options.rows * options.length), length = static_cast<double>(options.length);
  const double adapter = adapter_flops(set);
  if (phase == "decode") {
    const BaseFlops base = base_flops(model, length + 1);
    return base.token + base.logits + adapter;
  }
  const BaseFlops base = base_flops(model, (length + 1) / 2);
  if (phase == "prefill") return tokens * (base.token + adapter) + static_cast<double>(options.rows) * base.logits;
  return tokens * (2 * (base.token + base.logits) + 3 * adapter);
}

std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> result;
  for (size_t i = 0; i < a.size(); ++i) result.push_back(a[i] / b[i]);
  return result;
}

}  // namespace

int64_t tax_rounds(const TaxOptions& options) {
  return static_cast<int64_t>(std::size(kPhases)) * (options.rounds + 1);  // the first run of each warms up
}

Spread spread_of(std::vector<double> values) {
  MOREX_ASSERT(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return {values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2, values.front(),
          values.back()};
}

Tax measure_tax(models::CausalLm& model, adapters::AdapterSet& set, const std::string& name, const TaxOptions& options,
                Warnings& warnings, const std::function<void(int64_t)>& poll) {
  set.attach();  // before the first detaching: an adapter that moves the base takes it now
  const Measurement measurement(model, options, set.sequence_needs().clusters);
  set.detach();
  Tax tax;
  const auto least = least_adapter(model, set, warnings);
  const auto lora = equal_lora(model, set, tax.lora_rank, warnings);
  tax.parameters = trainable_of(set);
  tax.lora_parameters = trainable_of(*lora);
  tax.adapter_bytes = tax.parameters * set.parameters().values().element_size();
  tax.training_bytes = 4 * tax.adapter_bytes;

  std::vector<Variant> variants;
  variants.emplace_back("base", least.get(), nullptr);
  variants.emplace_back("lora", lora.get(), lora.get());
  variants.emplace_back(name, &set, &set);
  int64_t done = 0;
  for (const std::string phase : kPhases) {
    PhaseTax made;
    made.phase = phase;
    made.tokens = phase == "decode" ? 1 : options.rows * options.length;
    std::vector<std::vector<double>> ms(variants.size());
    for (Variant& variant : variants) {
      VariantTax row;
      row.name = variant.name;
      row.flops = phase_flops(model, phase, variant.served, options);
      measurement.run(phase, variant, &row.peak_bytes);  // the first run, which also warms up
      made.variants.push_back(row);
    }
    poll(++done);
    for (int64_t round = 0; round < options.rounds; ++round) {
      for (size_t i = 0; i < variants.size(); ++i) {
        const size_t v = (i + static_cast<size_t>(round)) % variants.size();
        ms[v].push_back(measurement.run(phase, variants[v], nullptr));
      }
      poll(++done);
    }
    for (size_t v = 0; v < variants.size(); ++v) {
      made.variants[v].ms = spread_of(ms[v]);
      made.variants[v].over_base = spread_of(ratios(ms[v], ms[0]));
      made.variants[v].over_lora = spread_of(ratios(ms[v], ms[1]));
    }
    tax.phases.push_back(std::move(made));
  }
  set.attach();
  return tax;
}

}  // namespace morex::train
