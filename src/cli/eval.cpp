// morex eval: scores of a model on multiple-choice tasks, and its loss on a file.
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "eval/loss.h"
#include "eval/prompts.h"
#include "eval/tasks.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct EvalOptions {
  ModelArguments model;
  eval::TaskOptions tasks;
  std::string data_dir, output, loss_file, task_column = "task";
  data::DatasetOptions data;
  int64_t loss_batch_size = 8;
  bool json = false;
};

// One progress line per task: a new one starts when the name changes.
class TaskProgress {
 public:
  explicit TaskProgress(bool quiet) : quiet_(quiet) {}
  void operator()(const std::string& task, int64_t done, int64_t total) {
    if (task != task_) {
      progress_ = std::make_unique<Progress>(task, total, quiet_);
      task_ = task;
    }
    progress_->update(done);
  }
  void finish() { progress_.reset(); }

 private:
  bool quiet_;
  std::string task_;
  std::unique_ptr<Progress> progress_;
};

OrderedJson evaluate_tasks(const EvalOptions& options, const LoadedModel& loaded, Warnings& warnings, bool quiet) {
  eval::TaskOptions tasks = options.tasks;
  tasks.data_dir = options.data_dir;
  tasks.task = options.model.task;
  if (loaded.by_task) tasks.task_column = options.task_column;
  if (!options.output.empty()) tasks.samples_file = fs::path(options.output).replace_extension(".samples.jsonl");
  TaskProgress progress(quiet);
  const Json result = eval::run_tasks(*loaded.model, *loaded.tokenizer, tasks, warnings, std::ref(progress));
  progress.finish();
  return OrderedJson::parse(result.dump());
}

OrderedJson evaluate_file(const EvalOptions& options, const LoadedModel& loaded, Warnings& warnings, bool quiet) {
  data::DatasetOptions rows = options.data;
  rows.wants_task = loaded.by_task;
  rows.task_column = options.task_column;
  rows.fixed_task = options.model.task;
  const data::Dataset dataset = data::load_dataset(options.loss_file, *loaded.tokenizer, rows, warnings);
  if (const auto tasks = loaded.by_task ? loaded.adapter->sequence_needs().tasks : std::nullopt)
    eval::check_tasks(dataset.examples, *tasks, options.loss_file, options.task_column);
  Progress progress("loss", static_cast<int64_t>(dataset.examples.size()), quiet);
  const int64_t pad = loaded.tokenizer->pad_id().value_or(0);
  const eval::LossResult loss = eval::evaluate_loss(*loaded.model, dataset.examples, options.loss_batch_size, pad,
                                                    [&progress](int64_t done, int64_t) { progress.update(done); });
  progress.finish();
  MOREX_CHECK(std::isfinite(loss.nll_sum), ErrorKind::kNumeric, "[{}] the loss must be finite, got {}",
              options.loss_file, loss.nll_sum);
  return {{"file", options.loss_file},
          {"digest", dataset.report.digest},
          {"n", dataset.examples.size()},
          {"tokens", loss.tokens},
          {"loss", loss.mean()},
          {"perplexity", loss.perplexity()},
          {"truncated", dataset.report.truncated}};
}

std::string score(const OrderedJson& task, const std::string& name) {
  if (!task.contains(name) || !task[name].is_number()) return "";
  const std::string error = name + "_stderr";
  if (!task.contains(error) || !task[error].is_number()) return fmt::format("{:.4f}", task[name].get<double>());
  return fmt::format("{:.4f} ± {:.4f}", task[name].get<double>(), task[error].get<double>());
}

void print_text(const OrderedJson& report) {
  if (report.contains("tasks")) {
    fmt::print("protocol {} {}\n", report.value("protocol", ""), report.value("version", OrderedJson()).dump());
    Table table({"task", "n", "acc", "acc_norm"});
    for (const auto& [name, task] : report["tasks"].items()) {
      table.add({name, task.value("n", OrderedJson()).dump(), score(task, "acc"), score(task, "acc_norm")});
    }
    fmt::print("{}", table.text());
  }
  if (report.contains("loss")) {
    const OrderedJson& loss = report["loss"];
    fmt::print("loss {:.6f}  perplexity {:.4f}  over {} tokens of {}\n", loss["loss"].get<double>(),
               loss["perplexity"].get<double>(), loss["tokens"].get<int64_t>(), loss["file"].get<std::string>());
  }
}

void check_arguments(const EvalOptions& options) {
  MOREX_CHECK(!options.tasks.tasks.empty() || !options.loss_file.empty(), ErrorKind::kConfig,
              "eval needs --tasks, --loss FILE.jsonl, or both");
  MOREX_CHECK(options.tasks.tasks.empty() || !options.data_dir.empty(), ErrorKind::kConfig,
              "--tasks needs --data, the folder with {{task}}.jsonl");
}

// Refused here, before a model is loaded.
void check_task_names(const eval::TaskOptions& options) {
  if (options.tasks.empty()) return;
  const std::vector<std::string> known = eval::known_tasks(options.protocol);
  if (known.empty()) return;  // the files of the data folder are the tasks
  for (const std::string& task : options.tasks) {
    MOREX_CHECK(std::find(known.begin(), known.end(), task) != known.end(), ErrorKind::kConfig,
                "'{}' is no task of protocol {}.{} Known: {}", task, options.protocol, did_you_mean(task, known),
                join(known, ", "));
  }
}

// The one data file whose rows given vectors can belong to.
std::string data_of_embeddings(const EvalOptions& options) {
  if (options.model.embeddings.empty()) return "";
  const bool one = options.tasks.tasks.size() + (options.loss_file.empty() ? 0 : 1) == 1 &&
                   options.tasks.tasks != std::vector<std::string>{"all"};
  MOREX_CHECK(one, ErrorKind::kConfig, "--embeddings belong to the rows of one file: one task, or --loss alone");
  if (!options.loss_file.empty()) return options.loss_file;
  eval::TaskOptions tasks = options.tasks;
  tasks.data_dir = options.data_dir;
  return eval::task_data_file(tasks, options.tasks.tasks.front()).string();
}

void run(const EvalOptions& options, const Globals& globals) {
  check_arguments(options);
  check_task_names(options.tasks);
  Warnings warnings = globals.make_warnings();
  ModelArguments model = options.model;
  model.embeddings_data = data_of_embeddings(options);
  const LoadedModel loaded = load(model, globals.threads, warnings);
  OrderedJson report = OrderedJson::object();
  if (!options.tasks.tasks.empty()) report = evaluate_tasks(options, loaded, warnings, globals.quiet);
  report["model"] = options.model.model;
  report["adapter"] = options.model.adapter.empty() ? OrderedJson() : OrderedJson(options.model.adapter);
  report["dtype"] = dtype_name(loaded.model->dtype());
  if (!options.loss_file.empty()) report["loss"] = evaluate_file(options, loaded, warnings, globals.quiet);
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
  command.option("--tasks", options->tasks.tasks, "Tasks: a,b").delimiter(',');
  command.option("--protocol", options->tasks.protocol, "Rules of prompting and scoring").show_default();
  command.option("--data", options->data_dir, "Folder with {task}.jsonl in the original columns");
  command.option("--output", options->output, "Write the scores as JSON, and one line per item beside it");
  command.option("--num-fewshot", options->tasks.num_fewshot, "Solved examples before each item")
      .range(0, 1000)
      .show_default();
  command.option("--fewshot-seed", options->tasks.fewshot_seed, "Seed that picks them").show_default();
  command.option("--limit", options->tasks.limit, "First n items of each task only");
  command.option("--loss", options->loss_file, "JSON Lines file to compute mean token loss and perplexity of");
  command.option("--max-seq-length", options->data.max_seq_length, "Longest example of --loss in tokens")
      .show_default();
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
