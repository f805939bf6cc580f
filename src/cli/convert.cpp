// morex convert: an adapter as plain LoRA, or in the files of the method's own project.
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <memory>

#include "adapters/bank_adapter.h"
#include "base/error.h"
#include "base/files.h"
#include "base/system.h"
#include "cli/cluster_rows.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/lora_convert.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "eval/clusters.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct ConvertOptions {
  ModelArguments model;
  std::string to, output, layout, rank = "auto", fit_file;
  adapters::ConversionOptions fit;
  int64_t fit_rows = -1, task = -1;
  ScoreOptions scores;
  bool per_cluster = false, json = false;
};

// The task of every sequence, for adapters whose gates ask for it.
class OneTask : public nn::PromptReader {
 public:
  explicit OneTask(int64_t task) : task_(task) {}
  void read(const std::vector<nn::Prompt>& prompts, nn::BatchContext& ctx) const override {
    ctx.per_sequence["task_ids"] = at::full({static_cast<int64_t>(prompts.size())}, task_, at::kLong);
  }

 private:
  int64_t task_;
};

template <typename Ask>
bool any_site(const adapters::AdapterSet& set, const Ask& ask) {
  for (const adapters::AdaptedGroup& adapted : set.groups())
    for (const adapters::BankSite& site : adapted.bank->sites())
      if (ask(site)) return true;
  return false;
}

int64_t parse_rank(const std::string& text) {
  if (text == "auto") return 0;
  int64_t rank = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
  MOREX_CHECK(error == std::errc() && end == text.data() + text.size() && rank >= 1, ErrorKind::kConfig,
              "--rank must be auto or a positive number, got '{}'", text);
  return rank;
}

void check_arguments(const ConvertOptions& options) {
  check_new_folder(options.output);
  const bool lora = options.to == "lora";
  MOREX_CHECK(lora || (options.fit_file.empty() && !options.scores.any() && !options.per_cluster && options.task < 0),
              ErrorKind::kConfig, "--fit, --loss, --tasks, --per-cluster and --task go with --to lora");
  MOREX_CHECK(!lora || options.layout.empty(), ErrorKind::kConfig, "--layout goes with --to official");
  MOREX_CHECK(!options.per_cluster || !options.fit_file.empty(), ErrorKind::kConfig,
              "--per-cluster needs --fit, the rows to spread over the clusters");
  MOREX_CHECK(!options.per_cluster || options.scores.tasks.tasks.empty(), ErrorKind::kConfig,
              "--tasks goes with one LoRA, not with --per-cluster: a task's questions belong to many clusters");
  parse_rank(options.rank);
  check_score_options(options.scores);
}

std::vector<data::Example> read_rows(const std::string& file, int64_t rows, const ConvertOptions& options,
                                     const LoadedModel& loaded, Warnings& warnings) {
  if (file.empty()) return {};
  data::DatasetOptions data = options.scores.data;
  data.max_rows = rows;
  return data::load_dataset(file, *loaded.tokenizer, data, warnings).examples;
}

// One LoRA for each cluster in cluster_0 …, and index.json that says which rows it is for.
OrderedJson convert_clusters(const LoraConvert& convert, const ConvertOptions& options,
                             const std::vector<data::Example>& fit, const std::vector<data::Example>& held_out) {
  const fs::path folder = options.output, file = fs::path(options.model.adapter) / eval::kClusterFile;
  const eval::Clusters clusters = eval::load_clusters(file);
  MOREX_CHECK(clusters.sets.size() == 1, ErrorKind::kConfig,
              "--per-cluster needs one set of clusters, [{}] holds {}: the layers have different numbers of gates",
              file.string(), clusters.sets.size());
  const auto fit_rows = rows_by_cluster(fit, clusters.sets[0], *convert.loaded.prompts);
  const auto test_rows = rows_by_cluster(held_out, clusters.sets[0], *convert.loaded.prompts);
  eval::save_clusters(folder / eval::kClusterFile, clusters);
  OrderedJson index = {{"clusters_file", eval::kClusterFile}, {"clusters", OrderedJson::array()}};
  double sums[3] = {0.0, 0.0, 0.0};
  int64_t tokens = 0;
  for (size_t k = 0; k < fit_rows.size(); ++k) {
    OrderedJson entry = {{"cluster", k}, {"rows", fit_rows[k].size()}, {"folder", nullptr}};
    if (fit_rows[k].empty()) {
      convert.warnings.add("convert.empty_cluster",
                           fmt::format("[fit] no row belongs to cluster {}: it gets no LoRA", k));
    } else {
      entry["folder"] = fmt::format("cluster_{}", k);
      const OrderedJson report =
          convert_to_folder(convert, fit_rows[k], test_rows[k], folder / entry["folder"].get<std::string>());
      entry["conversion"] = report;
      if (report.contains("loss")) {
        const int64_t count = report["loss"]["tokens"];
        tokens += count;
        size_t i = 0;
        for (const char* name : {"base", "adapter", "lora"})
          sums[i++] += report["loss"][name].get<double>() * static_cast<double>(count);
      }
    }
    index["clusters"].push_back(entry);
  }
  if (tokens > 0) {
    const auto mean = [&](double sum) { return sum / static_cast<double>(tokens); };
    index["loss"] = {{"tokens", tokens}, {"base", mean(sums[0])}, {"adapter", mean(sums[1])}, {"lora", mean(sums[2])}};
  }
  write_text_file(folder / "index.json", index.dump(2) + "\n");
  return index;
}

void print_clusters(const OrderedJson& index) {
  Table table({"cluster", "rows", "relative error", "held out", "loss: base", "adapter", "lora"});
  const auto number = [](const OrderedJson& from, const char* key) {
    return from.contains(key) ? fmt::format("{:.4f}", from[key].get<double>()) : "";
  };
  for (const OrderedJson& entry : index["clusters"]) {
    const OrderedJson report = entry.value("conversion", OrderedJson::object());
    const OrderedJson loss = report.value("loss", OrderedJson::object());
    table.add({entry["cluster"].dump(), entry["rows"].dump(), number(report, "relative_error"),
               number(report, "held_out_relative_error"), number(loss, "base"), number(loss, "adapter"),
               number(loss, "lora")});
  }
  if (index.contains("loss"))
    table.add({"all", "", "", "", number(index["loss"], "base"), number(index["loss"], "adapter"),
               number(index["loss"], "lora")});
  fmt::print("{}", table.text());
}

void convert_to_official(const ConvertOptions& options, const LoadedModel& loaded) {
  const fs::path folder = options.output;
  const adapters::BaseIdentity base{options.model.model, loaded.model->digest()};
  const std::string layout = loaded.adapter->save_official(folder, base, options.layout);
  // Ours reads the centroids there; the project's code passes over them.
  if (const fs::path clusters = fs::path(options.model.adapter) / eval::kClusterFile; fs::exists(clusters))
    eval::save_clusters(folder / eval::kClusterFile, eval::load_clusters(clusters));
  if (options.json) return print_json({{"layout", layout}, {"adapter", options.output}});
  fmt::print("{}  layout {}\n", options.output, layout);
}

// The adapter with what its gates ask of a sequence, on the base as it is.
adapters::AdapterSet& prepare(const ConvertOptions& options, LoadedModel& loaded,
                              std::unique_ptr<adapters::AdapterSet>& plain, Warnings& warnings) {
  adapters::AdapterSet& set = *loaded.adapter;
  const bool tasks = any_site(set, [](const adapters::BankSite& site) { return site.router->tasks() != nullptr; });
  MOREX_CHECK(tasks == (options.task >= 0), ErrorKind::kConfig, "[{}] {}", options.model.adapter,
              tasks ? "its gates depend on the task: --task N must say for which one the LoRA is"
                    : "its gates do not depend on a task: --task has no meaning here");
  if (tasks) {
    loaded.prompts = std::make_unique<OneTask>(options.task);
    loaded.model->set_prompt_reader(loaded.prompts.get());
  }
  if (!any_site(set, [](const adapters::BankSite& site) { return site.structure->moves_base(); })) return set;
  plain = set.on_original_base(warnings);
  set.detach();
  plain->attach();
  return *plain;
}

void convert_to_lora(const ConvertOptions& options, LoadedModel& loaded, Warnings& warnings, bool quiet) {
  std::unique_ptr<adapters::AdapterSet> plain;
  adapters::AdapterSet& set = prepare(options, loaded, plain, warnings);
  adapters::ConversionOptions fit = options.fit;
  fit.rank = parse_rank(options.rank);
  if (options.task >= 0) fit.task = options.task;
  fit.memory_bytes = std::max(fit.memory_bytes, total_memory_bytes() / 4);
  const std::string reason = adapters::why_data_is_needed(set, fit);
  MOREX_CHECK(reason.empty() || !options.fit_file.empty(), ErrorKind::kConfig,
              "[{}] becomes LoRA by a fit on data: give --fit FILE.jsonl. {}", options.model.adapter, reason);
  MOREX_CHECK(!options.per_cluster || !set.sequence_needs().clusters.empty(), ErrorKind::kConfig,
              "--per-cluster needs an adapter with prior clusters, [{}] has none", options.model.adapter);
  const LoraConvert convert{loaded,
                            set,
                            {options.model.model, loaded.model->digest()},
                            fit,
                            options.scores,
                            options.scores.loss_batch_size,
                            warnings,
                            quiet};
  // A conversion that needs no data does not run the model for it.
  const std::vector<data::Example> rows =
      reason.empty() ? std::vector<data::Example>()
                     : read_rows(options.fit_file, options.fit_rows, options, loaded, warnings);
  const std::vector<data::Example> held_out = read_rows(options.scores.loss_file, -1, options, loaded, warnings);
  make_directories(options.output);
  OrderedJson report = options.per_cluster ? convert_clusters(convert, options, rows, held_out)
                                           : convert_to_folder(convert, rows, held_out, options.output);
  if (options.json) {
    report["warnings"] = warnings.messages();
    return print_json(report);
  }
  options.per_cluster ? print_clusters(report) : print_conversion(report);
}

void run(const ConvertOptions& options, const Globals& globals) {
  check_arguments(options);
  Warnings warnings = globals.make_warnings();
  const bool reads_text = !options.fit_file.empty() || options.scores.any();
  LoadedModel loaded = load(options.model, globals.threads, warnings, reads_text, reads_text);
  if (options.to == "official") return convert_to_official(options, loaded);
  convert_to_lora(options, loaded, warnings, globals.quiet);
}

}  // namespace

void add_convert(Command program, Globals& globals) {
  const auto options = std::make_shared<ConvertOptions>();
  options->model.dtype = "float32";  // updates are small beside what a bfloat16 output rounds away
  Command command =
      program.subcommand("convert", "An adapter as plain LoRA, or in the layout of the method's own project");
  command.option("--model", options->model.model, "Hugging Face folder or .gguf file").required();
  command.option("--adapter", options->model.adapter, "Adapter folder").required();
  command.option("--to", options->to, "lora: PEFT's LoRA; official: the layout of the method's own project")
      .choices({"lora", "official"})
      .required();
  command.option("--output", options->output, "New folder").required();
  command.option("--layout", options->layout, "Which official layout, where several suit");
  command.option("--rank", options->rank, "Of each module, at most; auto: each its own, by --tolerance").show_default();
  command.option("--tolerance", options->fit.tolerance, "What --rank auto may cut off of each update, root mean square")
      .range(0.0, 1.0)
      .show_default();
  command.option("--fit", options->fit_file, "Your data, JSON Lines, which decide what the LoRA must reproduce");
  command.option("--fit-rows", options->fit_rows, "First n rows of it only");
  command.option("--task", options->task, "Of adapters whose gates depend on the task: the one that the LoRA is for")
      .range(0, 1 << 24);
  command.flag("--per-cluster", options->per_cluster, "One LoRA for each cluster of prompts, in cluster_0 …");
  add_score_options(command, options->scores);
  command.option("--tokenizer", options->model.tokenizer, "Tokenizer folder or file (default: the model's own)");
  command.option("--dtype", options->model.dtype, "To compute in").choices({"float32", "float64"}).show_default();
  command.option("--device", options->model.device, "Where to compute").choices({"auto", "cpu", "cuda"}).show_default();
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
