#include "cli/scores.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "cli/options.h"
#include "eval/loss.h"

namespace morex::cli {

namespace {

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

}  // namespace

void add_score_options(Command command, ScoreOptions& options) {
  command.option("--tasks", options.tasks.tasks, "Tasks: a,b").delimiter(',');
  command.option("--protocol", options.tasks.protocol, "Rules of prompting and scoring").show_default();
  command.option("--data", options.data_dir, "Folder with {task}.jsonl in the original columns");
  command.option("--num-fewshot", options.tasks.num_fewshot, "Solved examples before each item")
      .range(0, 1000)
      .show_default();
  command.option("--fewshot-seed", options.tasks.fewshot_seed, "Seed that picks them").show_default();
  command.option("--limit", options.tasks.limit, "First n items of each task only");
  command.option("--loss", options.loss_file, "JSON Lines file to compute mean token loss and perplexity of");
  command.option("--max-seq-length", options.data.max_seq_length, "Longest example of a JSON Lines file in tokens")
      .show_default();
}

void check_score_options(const ScoreOptions& options) {
  if (options.tasks.tasks.empty()) return;
  MOREX_CHECK(!options.data_dir.empty(), ErrorKind::kConfig, "--tasks needs --data, the folder with {{task}}.jsonl");
  const std::vector<std::string> known = eval::known_tasks(options.tasks.protocol);
  if (known.empty()) return;  // the files of the data folder are the tasks
  for (const std::string& task : options.tasks.tasks) {
    MOREX_CHECK(std::find(known.begin(), known.end(), task) != known.end(), ErrorKind::kConfig,
                "'{}' is no task of protocol {}.{} Known: {}", task, options.tasks.protocol, did_you_mean(task, known),
                join(known, ", "));
  }
}

OrderedJson score_tasks(const ScoreOptions& options, const models::CausalLm& model, const text::Tokenizer& tokenizer,
                        const std::string& samples, Warnings& warnings, bool quiet) {
  eval::TaskOptions tasks = options.tasks;
  tasks.data_dir = options.data_dir;
  tasks.samples_file = samples;
  TaskProgress progress(quiet);
  const Json result = eval::run_tasks(model, tokenizer, tasks, warnings, std::ref(progress));
  progress.finish();
  return OrderedJson::parse(result.dump());
}

OrderedJson score_loss(const std::vector<data::Example>& examples, int64_t batch_size, const models::CausalLm& model,
                       const text::Tokenizer& tokenizer, bool quiet) {
  Progress progress("loss", static_cast<int64_t>(examples.size()), quiet);
  const eval::LossResult loss = eval::evaluate_loss(model, examples, batch_size, tokenizer.pad_id().value_or(0),
                                                    [&progress](int64_t done, int64_t) { progress.update(done); });
  progress.finish();
  MOREX_CHECK(std::isfinite(loss.nll_sum), ErrorKind::kNumeric, "[loss] it must be finite, got {}", loss.nll_sum);
  return {{"n", examples.size()}, {"tokens", loss.tokens}, {"loss", loss.mean()}, {"perplexity", loss.perplexity()}};
}

std::string score_text(const OrderedJson& task, const std::string& name) {
  if (!task.contains(name) || !task[name].is_number()) return "";
  const std::string error = name + "_stderr";
  if (!task.contains(error) || !task[error].is_number()) return fmt::format("{:.4f}", task[name].get<double>());
  return fmt::format("{:.4f} ± {:.4f}", task[name].get<double>(), task[error].get<double>());
}

}  // namespace morex::cli
