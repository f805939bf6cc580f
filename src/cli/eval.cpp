// morex eval: scores of a model on multiple-choice tasks, and its loss on a file.
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/scores.h"
#include "data/dataset.h"
#include "eval/prompts.h"
#include "eval/tasks.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct EvalOptions {
  ModelArguments model;
  ScoreOptions scores;
  std::string output, task_column = "task";
  bool json = false;
};

OrderedJson evaluate_tasks(const EvalOptions& options, const LoadedModel& loaded, Warnings& warnings, bool quiet) {
  ScoreOptions scores = options.scores;
  scores.tasks.task = options.model.task;
  if (loaded.by_task) scores.tasks.task_column = options.task_column;
  const fs::path samples =
      options.output.empty() ? fs::path() : fs::path(options.output).replace_extension(".samples.jsonl");
  return score_tasks(scores, *loaded.model, *loaded.tokenizer, samples.string(), warnings, quiet);
}

OrderedJson evaluate_file(const EvalOptions& options, const LoadedModel& loaded, Warnings& warnings, bool quiet) {
  const std::string& file = options.scores.loss_file;
  data::DatasetOptions rows = options.scores.data;
  rows.wants_task = loaded.by_task;
  rows.task_column = options.task_column;
  rows.fixed_task = options.model.task;
  const data::Dataset dataset = data::load_dataset(file, *loaded.tokenizer, rows, warnings);
  if (const auto tasks = loaded.by_task ? loaded.adapter->sequence_needs().tasks : std::nullopt)
    eval::check_tasks(dataset.examples, *tasks, file, options.task_column);
  OrderedJson report = {{"file", file}, {"digest", dataset.report.digest}};
  report.update(score_loss(dataset.examples, options.scores.loss_batch_size, *loaded.model, *loaded.tokenizer, quiet));
  report["truncated"] = dataset.report.truncated;
  return report;
}

void print_text(const OrderedJson& report) {
  if (report.contains("tasks")) {
    fmt::print("protocol {} {}\n", report.value("protocol", ""), report.value("version", OrderedJson()).dump());
    Table table({"task", "n", "acc", "acc_norm"});
    for (const auto& [name, task] : report["tasks"].items()) {
      table.add({name, task.value("n", OrderedJson()).dump(), score_text(task, "acc"), score_text(task, "acc_norm")});
    }
    fmt::print("{}", table.text());
  }
  if (report.contains("loss")) {
    const OrderedJson& loss = report["loss"];
    fmt::print("loss {:.6f}  perplexity {:.4f}  over {} tokens of {}\n", loss["loss"].get<double>(),
               loss["perplexity"].get<double>(), loss["tokens"].get<int64_t>(), loss["file"].get<std::string>());
  }
}

// The one data file whose rows given vectors can belong to.
std::string data_of_embeddings(const EvalOptions& options) {
  if (options.model.embeddings.empty()) return "";
  const bool one = options.scores.tasks.tasks.size() + (options.scores.loss_file.empty() ? 0 : 1) == 1 &&
                   options.scores.tasks.tasks != std::vector<std::string>{"all"};
  MOREX_CHECK(one, ErrorKind::kConfig, "--embeddings belong to the rows of one file: one task, or --loss alone");
  if (!options.scores.loss_file.empty()) return options.scores.loss_file;
  eval::TaskOptions tasks = options.scores.tasks;
  tasks.data_dir = options.scores.data_dir;
  return eval::task_data_file(tasks, options.scores.tasks.tasks.front()).string();
}

void run(const EvalOptions& options, const Globals& globals) {
  MOREX_CHECK(options.scores.any(), ErrorKind::kConfig, "eval needs --tasks, --loss FILE.jsonl, or both");
  check_score_options(options.scores);
  Warnings warnings = globals.make_warnings();
  ModelArguments model = options.model;
  model.embeddings_data = data_of_embeddings(options);
  const LoadedModel loaded = load(model, globals.threads, warnings);
  OrderedJson report = OrderedJson::object();
  if (!options.scores.tasks.tasks.empty()) report = evaluate_tasks(options, loaded, warnings, globals.quiet);
  report["model"] = options.model.model;
  report["adapter"] = options.model.adapter.empty() ? OrderedJson() : OrderedJson(options.model.adapter);
  report["dtype"] = train::dtype_name(loaded.model->dtype());
  report["load_in_8bit"] = loaded.model->in_8bit();
  if (!options.scores.loss_file.empty()) report["loss"] = evaluate_file(options, loaded, warnings, globals.quiet);
  report["warnings"] = warnings.messages();
  if (!options.output.empty()) write_text_file(options.output, report.dump(2) + "\n");
  options.json ? print_json(report) : print_text(report);
}

}  // namespace

void add_eval(Command program, Globals& globals) {
  const auto options = std::make_shared<EvalOptions>();
  Command command = program.subcommand("eval", "Score a model on tasks, or its loss on a file");
  add_model_options(command, options->model);
  add_prompt_options(command, options->model);
  command.option("--task-column", options->task_column, "Column with a row's task, where --task names none")
      .show_default();
  add_score_options(command, options->scores);
  command.option("--output", options->output, "Write the scores as JSON, and one line per item beside it");
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
