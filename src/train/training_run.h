// The parts of one run, and its loop.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/progress.h"
#include "data/dataset.h"
#include "eval/sequence_reader.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"
#include "train/batch_source.h"
#include "train/checkpoint_folder.h"
#include "train/evaluation.h"
#include "train/gradients.h"
#include "train/memory_forecast.h"
#include "train/optimizer.h"
#include "train/run_log.h"
#include "train/runtime.h"
#include "train/schedule.h"
#include "train/step_profiler.h"
#include "train/trainable.h"
#include "train/trainer.h"
#include "train/trainer_state.h"

namespace morex::train {

class TrainingRun {
 public:
  // Loads data, model and method, and the checkpoint when the recipe resumes. Nothing is written before all of it has
  // been checked.
  TrainingRun(const Recipe& recipe, Warnings& warnings, const std::atomic<bool>& interrupt, bool quiet);

  TrainResult run();

 private:
  void load_inputs();
  MemoryForecast forecast() const;
  void open_output();
  void resume(const std::filesystem::path& checkpoint);
  void prepare_reader();
  bool due(int64_t every) const;  // at the last step, and at every multiple of `every` > 0

  // What one update gives.
  struct Update {
    StepSums sums;
    double grad_norm = 0, learning_rate = 0;
  };

  void train_step();
  Update update(int64_t step);
  void log_step(double learning_rate, double grad_norm);
  void log_routing(Json& metrics);
  at::Tensor routing_sums() const;  // undefined: nothing is routed
  // True when the evaluation found a new best.
  bool evaluate();
  void save_checkpoint();
  void finish();
  void write_run_json(const Json& result) const;

  const Recipe& recipe_;
  Warnings& warnings_;
  const std::atomic<bool>& interrupt_;
  bool quiet_;

  Runtime runtime_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  data::Dataset dataset_;
  std::unique_ptr<models::CausalLm> model_;
  std::unique_ptr<Trainable> trainable_;
  std::unique_ptr<eval::SequenceReader> reader_;  // null: the method needs to know nothing but ids
  std::unique_ptr<Evaluation> evaluation_;
  std::unique_ptr<BatchSource> source_;
  std::unique_ptr<Optimizer> optimizer_;
  Schedule schedule_;
  GradientWatch watch_;
  std::unique_ptr<nn::RoutingTally> tally_;  // since the last metrics line; null: nothing is routed
  CheckpointFolder checkpoints_;
  TrainerState state_;
  int64_t started_at_step_ = 0;
  std::optional<MemoryForecast> forecast_;  // where the recipe has a memory budget
  std::filesystem::path resumed_from_;      // empty: a fresh start
  std::unique_ptr<RunLog> log_;
  std::unique_ptr<StepProfiler> profiler_;  // null: not asked for
  std::unique_ptr<Progress> progress_;
};

}  // namespace morex::train
