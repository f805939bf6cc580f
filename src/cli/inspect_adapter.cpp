// morex inspect adapter: parameters and cost of an adapter, from its folder or from a recipe and a config.json alone.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/isfinite.h>
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <regex>

#include "adapters/adapter_set.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "cli/adapter_tax.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/recipe_input.h"
#include "eval/clusters.h"
#include "models/causal_lm.h"
#include "train/phase_work.h"
#include "train/tax.h"

namespace morex::cli {

namespace {

struct InspectAdapterOptions {
  ModelArguments model;
  std::string recipe;
  std::vector<std::string> words;  // the adapter's folder, or the recipe's overrides
  bool check = false, sites = false, tax = false, json = false;
  train::TaxOptions tax_options;
};

struct Totals {
  int64_t trainable = 0, active = 0;
  double flops = 0, routing_flops = 0;
  void add(const adapters::SiteCost& cost) {
    trainable += cost.trainable;
    active += cost.active;
    flops += cost.flops_per_token;
    routing_flops += cost.routing_flops;
  }
};

// Sites that differ only in the layer's number make one row.
struct SiteGroup {
  std::string module, method;
  int64_t count = 0;
  Totals totals;
};

std::vector<SiteGroup> group_sites(const std::vector<adapters::SiteCost>& costs) {
  static const std::regex kLayerNumber(R"(\.\d+\.)");
  std::vector<SiteGroup> groups;
  for (const adapters::SiteCost& cost : costs) {
    const std::string module = std::regex_replace(cost.module, kLayerNumber, ".*.");
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const SiteGroup& group) {
      return group.module == module && group.method == cost.method;
    });
    SiteGroup& group = found != groups.end() ? *found : groups.emplace_back(SiteGroup{module, cost.method, 0, {}});
    group.count += 1;
    group.totals.add(cost);
  }
  return groups;
}

int64_t base_parameters(models::CausalLm& model) {
  int64_t count = 0;
  for (const models::NamedWeight& weight : model.weights()) count += weight.slot->numel();
  return count;
}

OrderedJson report_of(const std::vector<adapters::SiteCost>& costs, models::CausalLm& model) {
  Totals totals;
  OrderedJson sites = OrderedJson::array();
  for (const adapters::SiteCost& cost : costs) {
    totals.add(cost);
    sites.push_back({{"module", cost.module},
                     {"method", cost.method},
                     {"trainable", cost.trainable},
                     {"active", cost.active},
                     {"flops_per_token", cost.flops_per_token},
                     {"routing_flops", cost.routing_flops}});
  }
  const int64_t base = base_parameters(model);
  return {{"trainable", totals.trainable},
          {"bytes", totals.trainable * static_cast<int64_t>(sizeof(float))},
          {"active", totals.active},
          {"base_parameters", base},
          {"trainable_share", base > 0 ? static_cast<double>(totals.trainable) / static_cast<double>(base) : 0.0},
          {"flops_per_token", totals.flops},
          {"routing_flops_per_token", totals.routing_flops},
          {"sites", sites}};
}

void print_text(const OrderedJson& report, const std::vector<adapters::SiteCost>& costs, bool every_site) {
  const int64_t trainable = report["trainable"].get<int64_t>();
  const int64_t active = report["active"].get<int64_t>();
  const auto both = [](int64_t n) { return fmt::format("{} ({})", with_thousands(n), in_millions(n)); };
  fmt::print("{}", aligned_pairs({
                       {"trainable parameters", both(trainable)},
                       {"adapter in float32", format_bytes(static_cast<double>(report["bytes"].get<int64_t>()))},
                       {"active per token", both(active)},
                       {"base parameters", both(report["base_parameters"].get<int64_t>())},
                       {"trainable / base", fmt::format("{:.3f} %", 100 * report["trainable_share"].get<double>())},
                       {"forward FLOPs per token",
                        fmt::format("{:.4g} M, of them routing {:.4g} M", report["flops_per_token"].get<double>() / 1e6,
                                    report["routing_flops_per_token"].get<double>() / 1e6)},
                   }));
  Table table({"module", "method", "sites", "trainable", "active", "FLOPs/token", "routing"});
  const auto add = [&table](const std::string& module, const std::string& method, int64_t count, const Totals& totals) {
    table.add({module, method, fmt::format("{}", count), with_thousands(totals.trainable),
               with_thousands(totals.active), fmt::format("{:.0f}", totals.flops),
               fmt::format("{:.0f}", totals.routing_flops)});
  };
  if (every_site) {
    for (const adapters::SiteCost& cost : costs) {
      Totals totals;
      totals.add(cost);
      add(cost.module, cost.method, 1, totals);
    }
  } else {
    for (const SiteGroup& group : group_sites(costs)) add(group.module, group.method, group.count, group.totals);
  }
  fmt::print("\n{}", table.text());
}

// One short forward pass through base and adapter must give finite numbers; a sequence that the adapter must know more
// of is as like to every cluster, and of the first task. Its centroids must be there.
void check_forward(const models::CausalLm& model, const nn::SequenceNeeds& needs, const std::string& adapter) {
  const at::NoGradGuard no_grad;
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = std::min<int64_t>(8, std::min(model.config().vocab_size, model.config().max_position_embeddings));
  if (!needs.clusters.empty()) {
    const std::filesystem::path file = std::filesystem::path(adapter) / eval::kClusterFile;
    eval::check_counts(eval::load_clusters(file), needs.clusters, file.string());
  }
  train::make_up_facts(ctx, 1, needs.clusters, model.device());
  nn::RoutingReport report;
  const at::Tensor ids = at::arange(ctx.length, at::TensorOptions(at::kLong).device(model.device())).view({1, -1});
  const at::Tensor logits = model.logits(model.hidden(ids, ctx, report), ctx, report);  // [L, V]
  MOREX_CHECK(at::isfinite(logits).all().item<bool>(), ErrorKind::kNumeric,
              "[{}] the model's output with this adapter must be finite, got NaN or infinity", adapter);
}

// A recipe's adapter, fresh, on the base's weights.
LoadedModel load_for_tax(InspectAdapterOptions& options, int64_t threads, Warnings& warnings) {
  const Json method = read_partial_recipe(options.recipe, options.words).method;
  LoadedModel loaded = load(options.model, threads, warnings, /*need_tokenizer=*/false);
  const at::ScalarType dtype = loaded.model->dtype() == at::kDouble ? at::kDouble : at::kFloat;
  loaded.adapter = adapters::AdapterSet::create(method, loaded.model->slots(), dtype, loaded.model->device(), warnings);
  loaded.adapter->initialize(0);
  return loaded;
}

void run(InspectAdapterOptions options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  OrderedJson report;
  std::vector<adapters::SiteCost> costs;
  std::optional<train::Tax> tax;
  const auto measure = [&](const LoadedModel& loaded) {
    Progress progress("measuring", train::tax_rounds(options.tax_options), globals.quiet);
    tax = train::measure_tax(*loaded.model, *loaded.adapter, costs.front().method, options.tax_options, warnings,
                             [&progress](int64_t done) { progress.update(done); });
    progress.finish();
    report["tax"] = tax_to_json(*tax, options.tax_options);
  };
  if (!options.recipe.empty() && options.tax) {
    const LoadedModel loaded = load_for_tax(options, globals.threads, warnings);
    costs = loaded.adapter->costs();
    report = report_of(costs, *loaded.model);
    measure(loaded);
  } else if (!options.recipe.empty()) {
    const Json method = read_partial_recipe(options.recipe, options.words).method;
    const auto model = models::make_meta_model(models::load_model_config(options.model.model, warnings));
    costs = adapters::AdapterSet::create(method, model->slots(), at::kFloat, at::kMeta, warnings)->costs();
    report = report_of(costs, *model);
  } else {
    MOREX_CHECK(options.words.size() == 1, ErrorKind::kConfig, "inspect adapter needs one adapter folder, or --recipe");
    options.model.adapter = options.words.front();
    const LoadedModel loaded =
        load(options.model, globals.threads, warnings, /*need_tokenizer=*/false, /*reads_prompts=*/false);
    costs = loaded.adapter->costs();
    report = report_of(costs, *loaded.model);
    report["config"] = OrderedJson::parse(loaded.adapter->config().dump());
    if (options.check) {
      check_forward(*loaded.model, loaded.adapter->sequence_needs(), options.model.adapter);
      report["check"] = "ok";
    }
    if (options.tax) measure(loaded);
  }
  report["warnings"] = warnings.messages();
  if (options.json) return print_json(report);
  print_text(report, costs, options.sites);
  if (tax) print_tax(*tax, options.tax_options);
  if (options.check) fmt::print("\ncheck: ok\n");
}

}  // namespace

void add_inspect_adapter(Command inspect, Globals& globals) {
  const auto options = std::make_shared<InspectAdapterOptions>();
  Command command = inspect.subcommand("adapter", "Parameters and cost of an adapter");
  command.option("adapter", options->words, "Adapter folder; with --recipe: overrides key=value");
  command.option("--model", options->model.model, "The base (with --recipe a folder with a config.json is enough)")
      .required();
  command.option("--recipe", options->recipe, "Count what this recipe would train, without weights");
  command.option("--dtype", options->model.dtype, "Load the base as this type")
      .choices({"auto", "float32", "bfloat16", "float64"});
  command.flag("--check", options->check, "Load everything as training would and run it once");
  command.flag("--sites", options->sites, "One row per site instead of one per kind of module");
  const Option tax = command.flag("--tax", options->tax,
                                  "Measure milliseconds, memory and FLOPs of training, prefill and decoding over the "
                                  "bare base and over LoRA of equal size; needs the base's weights");
  command.option("--batch-size", options->tax_options.rows, "Of --tax: sequences of a micro-batch")
      .range(1, 1 << 16)
      .show_default()
      .needs(tax);
  command.option("--length", options->tax_options.length, "Of --tax: tokens of a sequence")
      .range(2, 1 << 20)
      .show_default()
      .needs(tax);
  command.option("--rounds", options->tax_options.rounds, "Of --tax: how often each variant is timed, in turns")
      .range(1, 1000)
      .show_default()
      .needs(tax);
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
