#include "train/training_run.h"

#include <algorithm>
#include <chrono>

#include "adapters/method_config.h"
#include "base/checksum.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/system.h"
#include "models/check_ids.h"
#include "ops/time_recorder.h"
#include "train/cost.h"
#include "train/output_folder.h"
#include "train/routing_log.h"
#include "train/run_identity.h"
#include "train/sequence_inputs.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

struct Interrupted {};

int64_t padding_id(const text::Tokenizer& tokenizer) {
  if (const auto id = tokenizer.pad_id()) return *id;
  return tokenizer.eos_id().value_or(0);
}

// The tokenizer and the model must belong together: every id has a row in the embedding.
void check_ids(const std::vector<data::Example>& examples, const models::ModelConfig& config, Warnings& warnings) {
  for (const data::Example& example : examples) {
    models::check_ids(example.ids, config, fmt::format("line {} of the data", example.line));
    if (config.max_position_embeddings > 0 && example.length() > config.max_position_embeddings)
      warnings.add("beyond_positions",
                   fmt::format("[data] line {} has {} tokens, more than the {} positions the model was made for. Hint: "
                               "a smaller max_seq_length.",
                               example.line, example.length(), config.max_position_embeddings));
  }
}

}  // namespace

TrainingRun::TrainingRun(const Recipe& recipe, Warnings& warnings, const std::atomic<bool>& interrupt, bool quiet)
    : recipe_(recipe),
      warnings_(warnings),
      interrupt_(interrupt),
      quiet_(quiet),
      runtime_(resolve_runtime(recipe, warnings)),
      checkpoints_(recipe.output_dir, recipe.save_total_limit) {
  load_inputs();
  open_output();
  prepare_reader();
}

void TrainingRun::load_inputs() {
  const std::string& name = recipe_.tokenizer_name_or_path;
  tokenizer_ = text::Tokenizer::load(name.empty() ? recipe_.model_name_or_path : name);
  const NeededColumns needed = needed_columns(recipe_);
  warn_of_unread_columns(recipe_, needed, warnings_);
  dataset_ = load_train_rows(recipe_, *tokenizer_, warnings_);
  const int64_t pad = padding_id(*tokenizer_);
  source_ = std::make_unique<BatchSource>(dataset_.examples, recipe_, pad);
  if (recipe_.memory_budget_gib > 0) forecast_ = forecast();
  model_ = models::load_model(recipe_.model_name_or_path, {runtime_.dtype, runtime_.device, recipe_.load_in_8bit},
                              warnings_);
  if (recipe_.gradient_checkpointing) model_->set_recomputed_layers(model_->config().num_hidden_layers);
  if (forecast_) model_->set_recomputed_layers(forecast_->recomputed_layers);
  evaluation_ = std::make_unique<Evaluation>(recipe_, *model_, tokenizer_, pad, needed.task, warnings_);
  check_ids(dataset_.examples, model_->config(), warnings_);
  check_ids(evaluation_->validation().examples, model_->config(), warnings_);
  trainable_ = make_trainable(recipe_, runtime_, *model_, warnings_, task_names_of(dataset_.examples));
  check_sequence_inputs(recipe_, trainable_->sequence_needs(), dataset_.examples, evaluation_->validation().examples);
  if (const adapters::AdapterSet* set = trainable_->adapter_set(); set != nullptr && !set->routed_sites().empty())
    tally_ = std::make_unique<nn::RoutingTally>(set->routed_gates());
  optimizer_ = std::make_unique<Optimizer>(trainable_->parameters(), recipe_);
  schedule_ = make_schedule(recipe_, source_->total_steps(recipe_));
  InputDigests digests;
  digests.base = model_->digest();
  digests.tokenizer = tokenizer_->digest();
  digests.data = dataset_.report.digest;
  digests.validation = evaluation_->validation().report.digest;
  digests.data_order = source_->digest();
  digests.layout = layout_digest(trainable_->parameters());
  if (!recipe_.embeddings_file.empty()) digests.embeddings = sha256_hex_of_file(recipe_.embeddings_file);
  state_.identity = run_identity(recipe_, runtime_, digests);
}

// Before the base is loaded: the process then is what it will be beside it.
MemoryForecast TrainingRun::forecast() const {
  Warnings silent(/*strict=*/false, /*print=*/false);  // the same ones come with the model and the method
  const models::ModelConfig config = models::load_model_config(recipe_.model_name_or_path, silent);
  const auto largest = [this](bool keep_padding) {
    return source_->largest(source_->total_steps(recipe_), keep_padding);
  };
  const MemoryForecast made = forecast_memory(with_tasks_of(recipe_, dataset_.examples), runtime_, config, largest,
                                              process_beside_tensors, silent);
  if (!quiet_)
    fmt::print(stderr, "memory: {} of {} layers will be recomputed, forecast {} of {} GiB\n", made.recomputed_layers,
               made.layers, format_bytes(made.total()), recipe_.memory_budget_gib);
  return made;
}

void TrainingRun::open_output() {
  const fs::path output = recipe_.output_dir;
  make_directories(output);
  checkpoints_.remove_leftovers();
  const std::string& from = recipe_.resume_from_checkpoint;
  if (from.empty()) move_earlier_run_aside(output, warnings_);
  if (from == "auto") {
    if (const auto latest = checkpoints_.latest()) resume(*latest);
  } else if (!from.empty()) {
    MOREX_CHECK(fs::is_directory(from), ErrorKind::kConfig,
                "[recipe] resume_from_checkpoint must be a folder or auto, got '{}'", from);
    resume(from);
  }
  const RunLogParts parts{!recipe_.sample_prompts.empty(), tally_ != nullptr, recipe_.report_to_tensorboard};
  log_ = std::make_unique<RunLog>(output, state_.step, parts);
  write_run_json(nullptr);
  if (recipe_.profile)
    profiler_ = std::make_unique<StepProfiler>(state_.step, schedule_.total_steps, runtime_.threads, warnings_);
}

void TrainingRun::resume(const fs::path& checkpoint) {
  TrainerState loaded = load_state(checkpoint);
  check_same_run(loaded.identity, state_.identity, checkpoint.string(), warnings_);
  load_buffers(checkpoint, trainable_->parameters(), *optimizer_, routing_sums());
  loaded.identity = state_.identity;
  state_ = std::move(loaded);
  started_at_step_ = state_.step;
  resumed_from_ = checkpoint;
  if (!quiet_)
    fmt::print(stderr, "resuming from {} at step {} of {}\n", checkpoint.string(), state_.step, schedule_.total_steps);
}

void TrainingRun::prepare_reader() {
  // A resumed run goes on with its own centroids.
  const fs::path file = resumed_from_.empty() ? fs::path(recipe_.clusters_file) : resumed_from_ / eval::kClusterFile;
  // Set from the start it means "one step": only a later one stops here.
  const bool before = interrupt_.load();
  reader_ = make_sequence_reader(recipe_, *model_, *trainable_, dataset_.examples, file, warnings_, [&] {
    if (!before && interrupt_.load()) fail(ErrorKind::kInterrupted, "[train] interrupted before the first step");
  });
  if (reader_ == nullptr) return;
  if (reader_->clusters() != nullptr) trainable_->keep_clusters(reader_->clusters()->clusters());
  model_->set_prompt_reader(reader_.get());
}

bool TrainingRun::due(int64_t every) const {
  return state_.step == schedule_.total_steps || (every > 0 && state_.step % every == 0);
}

TrainResult TrainingRun::run() {
  progress_ = std::make_unique<Progress>("train", schedule_.total_steps, quiet_, state_.step);
  if (state_.evaluation_pending) {
    state_.evaluation_pending = false;
    evaluate();
    save_checkpoint();
  }
  while (state_.step < schedule_.total_steps) {
    train_step();
    bool save = due(recipe_.save_steps);
    bool stop = interrupt_.load();
    if (profiler_ && (profiler_->ready(state_.step) || stop)) profiler_->write(recipe_.output_dir);
    const bool evaluation_due = evaluation_->wanted() && due(recipe_.eval_steps);
    state_.evaluation_pending = evaluation_due && stop;
    if (evaluation_due && !stop) {
      try {
        save = evaluate() || save;
      } catch (const Interrupted&) {
        state_.evaluation_pending = true;
        stop = true;
      }
    }
    if (save || stop) save_checkpoint();
    if (stop && (state_.evaluation_pending || state_.step < schedule_.total_steps))
      fail(ErrorKind::kInterrupted,
           "[train] interrupted after step {} of {}; {} is complete. Hint: go on with "
           "resume_from_checkpoint=auto.",
           state_.step, schedule_.total_steps, checkpoints_.path(state_.step).string());
  }
  progress_->finish();
  finish();

  TrainResult result;
  result.steps = state_.step;
  result.train_loss = state_.total_loss_sum / static_cast<double>(std::max<int64_t>(1, state_.step));
  result.eval_loss = state_.last_eval_loss;
  result.seconds = state_.seconds;
  result.tokens_per_second = state_.seconds > 0 ? static_cast<double>(state_.tokens) / state_.seconds : 0;
  result.trainable_parameters = trainable_->parameters().parameter_count();
  result.peak_memory_bytes = peak_rss_bytes();
  result.adapter_folder = recipe_.output_dir;
  if (profiler_) result.profile = profiler_->text();
  Json json = {{"steps", result.steps},
               {"train_loss", result.train_loss},
               {"seconds", result.seconds},
               {"tokens", state_.tokens},
               {"tokens_per_second", result.tokens_per_second},
               {"peak_memory_bytes", result.peak_memory_bytes},
               {"best_step", state_.best_step},
               {"cost", measure_cost(*model_, *trainable_, source_->window(0).front(), warnings_)}};
  if (!evaluation_->validation().examples.empty()) json["eval_loss"] = result.eval_loss;
  write_run_json(json);
  return result;
}

TrainingRun::Update TrainingRun::update(int64_t step) {
  const auto recording = profiler_ ? profiler_->record(step) : nullptr;
  const ops::TimedScope whole("step", ops::TimedKind::kPhase);
  Update update;
  const std::vector<data::Batch> window = [&] {
    const ops::TimedScope timed("data");
    return source_->window(step);
  }();
  update.sums =
      accumulate_gradients(*model_, *trainable_, window, recipe_.seed, step, schedule_.total_steps, tally_.get());
  nn::ParameterStore& store = trainable_->parameters();
  {
    const ops::TimedScope timed("clip");
    update.grad_norm = checked_clip(store, recipe_.max_grad_norm, step);
  }
  update.learning_rate = schedule_.rate(step);
  watch_.observe(store, step, update.learning_rate, warnings_);
  const ops::TimedScope timed("optimizer");
  optimizer_->step(update.learning_rate, step);
  return update;
}

void TrainingRun::train_step() {
  const auto start = std::chrono::steady_clock::now();
  const int64_t step = state_.step;  // updates done before
  const auto [sums, norm, learning_rate] = update(step);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  state_.step = step + 1;
  state_.epoch = static_cast<double>(state_.step) / static_cast<double>(source_->steps_per_epoch());
  state_.tokens += sums.tokens;
  state_.tokens_since_log += sums.tokens;
  state_.seconds += seconds;
  state_.seconds_since_log += seconds;
  state_.loss_sum += sums.loss();
  state_.auxiliary_sum += sums.auxiliary;
  state_.total_loss_sum += sums.loss();
  ++state_.loss_steps;
  progress_->update(state_.step, fmt::format("loss {:.4f}  {:.0f} tokens/s  {}", sums.loss(),
                                             static_cast<double>(sums.tokens) / std::max(seconds, 1e-9),
                                             format_bytes(static_cast<double>(peak_rss_bytes()))));
  if (due(recipe_.logging_steps)) log_step(learning_rate, norm);
}

void TrainingRun::log_step(double learning_rate, double grad_norm) {
  const auto steps = static_cast<double>(state_.loss_steps);
  Json line = {
      {"step", state_.step},
      {"epoch", state_.epoch},
      {"loss", state_.loss_sum / steps},
      {"learning_rate", learning_rate},
      {"grad_norm", grad_norm},
      {"tokens", state_.tokens},
      {"tokens_per_second", static_cast<double>(state_.tokens_since_log) / std::max(state_.seconds_since_log, 1e-9)},
      {"seconds", state_.seconds},
      {"peak_memory_bytes", peak_rss_bytes()}};
  if (state_.auxiliary_sum != 0) line["aux_loss"] = state_.auxiliary_sum / steps;
  if (tally_) log_routing(line);
  log_->metrics(line);
  state_.loss_sum = state_.auxiliary_sum = state_.seconds_since_log = 0;
  state_.loss_steps = state_.tokens_since_log = 0;
}

void TrainingRun::log_routing(Json& metrics) {
  RoutingLog routing = describe_routing(*tally_, trainable_->adapter_set()->expert_cosines());
  metrics.update(routing.metrics);
  routing.line["step"] = state_.step;
  log_->routing(routing.line, routing.scalars);
  tally_->clear();
}

at::Tensor TrainingRun::routing_sums() const { return tally_ ? tally_->sums() : at::Tensor(); }

bool TrainingRun::evaluate() {
  const EvaluationResult result = evaluation_->run([this] {
    if (interrupt_.load()) throw Interrupted();
  });
  if (!result.metrics.empty()) {
    Json line = result.metrics;
    line["step"] = state_.step;
    line["epoch"] = state_.epoch;
    log_->metrics(line);
    state_.last_eval_loss = result.metrics.value("eval_loss", state_.last_eval_loss);
  }
  for (Json sample : result.samples) {
    sample["step"] = state_.step;
    log_->sample(sample);
  }
  const std::string& metric = recipe_.metric_for_best_model;
  if (!result.metrics.contains(metric)) return false;
  const double value = result.metrics[metric].get<double>();
  const bool better = larger_is_better(metric) ? value > state_.best_metric : value < state_.best_metric;
  if (state_.best_step >= 0 && !better) return false;
  state_.best_metric = value;
  state_.best_step = state_.step;
  return true;
}

void TrainingRun::save_checkpoint() {
  state_.warnings = warnings_.counts();
  checkpoints_.save(state_.step, [this](const fs::path& folder) {
    trainable_->save(folder);
    verify_saved(*trainable_, folder);
    save_state(folder, state_, trainable_->parameters(), *optimizer_, routing_sums());
  });
  checkpoints_.rotate(state_.step, state_.best_step);
}

void TrainingRun::finish() {
  if (recipe_.load_best_model_at_end && state_.best_step >= 0 && state_.best_step != state_.step)
    load_values(checkpoints_.path(state_.best_step), trainable_->parameters());
  trainable_->save(recipe_.output_dir);
  verify_saved(*trainable_, recipe_.output_dir);
}

void TrainingRun::write_run_json(const Json& result) const {
  Json json = state_.identity;
  json["started_at_step"] = started_at_step_;
  json["total_steps"] = schedule_.total_steps;
  json["steps_per_epoch"] = source_->steps_per_epoch();
  json["warmup_steps"] = schedule_.warmup_steps;
  json["recomputed_layers"] = model_->recomputed_layers();
  if (forecast_) json["memory_forecast_bytes"] = static_cast<int64_t>(forecast_->total());
  json["examples"] = dataset_.examples.size();
  json["trainable_parameters"] = trainable_->parameters().parameter_count();
  json["warnings"] = warnings_.messages();
  json["warning_counts"] = warnings_.counts();
  json["result"] = result;
  write_text_file(fs::path(recipe_.output_dir) / "run.json", json.dump(2) + "\n");
}

}  // namespace morex::train
