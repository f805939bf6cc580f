#include "train/trainer.h"

#include "train/training_run.h"

namespace morex::train {

TrainResult run_training(const Recipe& recipe, Warnings& warnings, const std::atomic<bool>& interrupt, bool quiet) {
  return TrainingRun(recipe, warnings, interrupt, quiet).run();
}

}  // namespace morex::train
