#include "adapters/lora_conversion.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "adapters/bank_adapter.h"
#include "adapters/constant_update.h"
#include "adapters/fit_job.h"
#include "adapters/targets.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

bool allowed(const LowRankFactors& factors, const ConversionOptions& options) {
  return options.rank == 0 || factors.a.size(0) <= options.rank;
}

std::string reason_for_data(const BankSite& site, const std::optional<LowRankFactors>& exact,
                            const ConversionOptions& options) {
  if (exact)
    return fmt::format("{}: the update is one matrix of rank {}, and the data decide what a cut to {} keeps",
                       site.site.module, exact->a.size(0), options.rank);
  if (site.router->tasks() != nullptr && !options.task)
    return site.site.module + ": the update is another matrix for each task, and no task is named";
  if (site.structure->scales_output())
    return site.site.module + ": DoRA scales the base's rows, too, so that its update has no small rank";
  return site.site.module + ": the update depends on the token";
}

int64_t commonest_rank(const Conversion& conversion) {
  std::map<int64_t, int64_t> counts;
  for (const ConvertedModule& module : conversion.modules) ++counts[module.rank()];
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace

double OutputError::relative() const { return energy > 0.0 ? std::sqrt(lost / energy) : 0.0; }

OutputError overall(const std::vector<OutputError>& errors) {
  OutputError sum;
  for (const OutputError& error : errors) {
    sum.energy += error.energy;
    sum.lost += error.lost;
  }
  return sum;
}

std::string why_data_is_needed(const AdapterSet& set, const ConversionOptions& options) {
  for (const AdaptedBlock& block : set.blocks())
    return block.mlp->module + ": the experts of a feed-forward block are weighed after the non-linearity";
  for (const AdaptedGroup& adapted : set.groups()) {
    for (size_t s = 0; s < adapted.bank->sites().size(); ++s) {
      const auto exact = constant_update(*adapted.bank, s, options.task);
      if (!exact || !allowed(*exact, options)) return reason_for_data(adapted.bank->sites()[s], exact, options);
    }
  }
  return "";
}

Conversion convert_to_lora(const AdapterSet& set, const ConversionOptions& options, const Stream& stream) {
  const at::NoGradGuard guard;
  Conversion made;
  const Fitting fitting{options, made};
  std::vector<std::unique_ptr<FitJob>> jobs, exits;
  for (const AdaptedGroup& adapted : set.groups()) {
    std::vector<size_t> fitted;
    for (size_t s = 0; s < adapted.bank->sites().size(); ++s) {
      const Site& site = adapted.bank->sites()[s].site;
      ConvertedModule module{site.module, site.d_in, site.d_out};
      const auto exact = constant_update(*adapted.bank, s, options.task);
      module.exact = exact && allowed(*exact, options);
      if (module.exact) {
        module.factors = *exact;
      } else {
        fitted.push_back(s);
      }
      made.modules.push_back(std::move(module));
    }
    if (!fitted.empty()) jobs.push_back(make_group_job(adapted, std::move(fitted), fitting));
  }
  for (const AdaptedBlock& block : set.blocks()) {
    for (const nn::LinearGroup* group : {&block.mlp->gate_up, &block.mlp->down})
      for (const nn::LinearMember& member : group->members)
        made.modules.push_back({member.module, member.weight.in_features(), member.weight.out_features()});
    jobs.push_back(make_block_entry_job(block, fitting));
    exits.push_back(make_block_exit_job(block, fitting));
  }
  run_jobs(std::move(jobs), options.memory_bytes, stream);
  run_jobs(std::move(exits), options.memory_bytes, stream);
  return made;
}

std::vector<OutputError> output_errors(const AdapterSet& set, const Conversion& conversion, const Stream& stream) {
  const at::NoGradGuard guard;
  std::map<std::string, const ConvertedModule*> modules;
  for (const ConvertedModule& module : conversion.modules) modules[module.module] = &module;
  std::vector<OutputError> errors = conversion.errors;
  std::map<std::string, OutputError*> places;
  for (OutputError& error : errors) {
    error.energy = error.lost = 0.0;
    places[error.module] = &error;
  }
  const auto add = [](OutputError& error, const at::Tensor& update, const at::Tensor& rest) {
    error.energy += square_sum(update);
    error.lost += square_sum(rest);
  };
  std::vector<std::unique_ptr<WatchedGroup>> groups;
  for (const AdaptedGroup& adapted : set.groups())
    groups.push_back(std::make_unique<WatchedGroup>(*adapted.group, [&, adapted](const at::Tensor& x, const auto& all) {
      for (const BankSite& site : adapted.bank->sites()) {
        const auto place = places.find(site.site.module);
        if (place == places.end()) continue;  // exact
        const at::Tensor& update = all[static_cast<size_t>(site.member_index)];
        add(*place->second, update, update - apply_factors(modules.at(site.site.module)->factors, x));
      }
    }));
  std::vector<std::unique_ptr<WatchedBlock>> blocks;
  for (const AdaptedBlock& block : set.blocks())
    blocks.push_back(std::make_unique<WatchedBlock>(
        *block.mlp, [&, block](const at::Tensor& x, const at::Tensor& y, const nn::BatchContext& ctx) {
          const nn::Mlp& mlp = *block.mlp;
          const at::Tensor rows = real_rows(x, ctx), out = real_rows(y, ctx);
          const auto factors = [&](const nn::LinearMember& member) { return &modules.at(member.module)->factors; };
          add(*places.at(mlp.module), out - block_output(mlp, rows, nullptr, nullptr, nullptr),
              out - block_output(mlp, rows, factors(mlp.gate_up.members[0]), factors(mlp.gate_up.members[1]),
                                 factors(mlp.down.members[0])));
        }));
  stream();
  return errors;
}

std::unique_ptr<AdapterSet> make_lora(const Conversion& conversion, nn::SlotTable& slots, at::ScalarType dtype,
                                      at::Device device, Warnings& warnings) {
  std::set<std::string> adapted;
  std::vector<std::string> all;
  Json patterns = Json::object();
  const int64_t rank = commonest_rank(conversion);
  for (const nn::LinearGroup* group : slots.groups)
    for (const nn::LinearMember& member : group->members) all.push_back(member.module);
  for (const ConvertedModule& module : conversion.modules) {
    adapted.insert(module.module);
    if (module.rank() != rank) patterns[module.module] = module.rank();
  }
  const Json method = {{"method", "lora"},         {"r", rank},
                       {"lora_alpha", rank},       {"target_modules", exact_targets(adapted, all)},
                       {"rank_pattern", patterns}, {"alpha_pattern", patterns}};
  auto lora = AdapterSet::create(method, slots, dtype, device, warnings);
  std::map<std::string, at::Tensor> values;
  for (const ConvertedModule& module : conversion.modules) {
    values[kFilePrefix + module.module + ".lora_A.weight"] = module.factors.a;
    values[kFilePrefix + module.module + ".lora_B.weight"] = module.factors.b;
  }
  const at::NoGradGuard guard;
  for (const nn::NamedView& view : lora->parameters().views())
    lora->parameters().named_value(view).copy_(values.at(view.name));
  return lora;
}

}  // namespace morex::adapters
