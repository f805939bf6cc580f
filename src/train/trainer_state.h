// What a checkpoint holds beside the adapter's own files: the flat buffers (optimizer.safetensors) and where the run
// stands (trainer_state.json).
#pragma once
#include <cstdint>
#include <filesystem>

#include "base/json.h"
#include "nn/parameter_store.h"
#include "train/optimizer.h"

namespace morex::train {

struct TrainerState {
  int64_t step = 0;  // updates done
  double epoch = 0;
  int64_t tokens = 0;               // real tokens seen so far
  double seconds = 0;               // spent training, over all parts of the run
  bool evaluation_pending = false;  // an interrupt came before the evaluation that is due at this step
  double loss_sum = 0;              // Σ step losses since the last metrics line, and what stands beside them
  double auxiliary_sum = 0;
  int64_t loss_steps = 0;
  int64_t tokens_since_log = 0;
  double seconds_since_log = 0;
  double total_loss_sum = 0;  // Σ step losses of the whole run
  double best_metric = 0;     // meaningful when best_step >= 0
  int64_t best_step = -1;
  double last_eval_loss = 0;
  Json warnings = Json::object();  // counts by key
  Json identity = Json::object();  // run_identity(): what a resume must find unchanged
};

Json state_to_json(const TrainerState& state);
TrainerState state_from_json(const Json& json, const std::string& where);

// Writes optimizer.safetensors and trainer_state.json into the folder. `routing`: the tally's sums since the last
// metrics line, undefined where nothing is routed.
void save_state(const std::filesystem::path& folder, const TrainerState& state, const nn::ParameterStore& store,
                const Optimizer& optimizer, const at::Tensor& routing = {});
// Throws Error(kFormat) when a file is missing, damaged, or no part of a checkpoint.
TrainerState load_state(const std::filesystem::path& folder);
// Fills values, moments and, where it is defined, `routing`, bit for bit. Throws Error(kFormat) for another layout or
// dtype.
void load_buffers(const std::filesystem::path& folder, nn::ParameterStore& store, const Optimizer& optimizer,
                  const at::Tensor& routing = {});
// Fills the values only (the best checkpoint at the end).
void load_values(const std::filesystem::path& folder, nn::ParameterStore& store);

}  // namespace morex::train
