#include "train/trainer_state.h"

#include <ATen/core/grad_mode.h>

#include <string>

#include "base/files.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuffers = "optimizer.safetensors";
constexpr const char* kState = "trainer_state.json";

void load_tensor(const io::SafetensorsFile& file, const char* name, const at::Tensor& into) {
  const io::StoredTensor& stored = file.get(name);
  const at::Tensor value = nn::tensor_view(stored);
  MOREX_CHECK(value.scalar_type() == into.scalar_type() && value.sizes() == into.sizes(), ErrorKind::kFormat,
              "[{}] '{}' must have {} elements of the run's dtype, got {}", file.path().string(), name, into.numel(),
              value.numel());
  const at::NoGradGuard no_grad;
  into.copy_(value);
}

io::SafetensorsFile open_buffers(const fs::path& folder, const nn::ParameterStore& store) {
  io::SafetensorsFile file = io::SafetensorsFile::open(folder / kBuffers);
  const auto layout = file.metadata().find("layout");
  MOREX_CHECK(layout != file.metadata().end() && layout->second == layout_digest(store), ErrorKind::kFormat,
              "[{}] holds the state of other trainable tensors than this recipe makes", file.path().string());
  return file;
}

}  // namespace

Json state_to_json(const TrainerState& state) {
  return {{"step", state.step},
          {"epoch", state.epoch},
          {"tokens", state.tokens},
          {"seconds", state.seconds},
          {"evaluation_pending", state.evaluation_pending},
          {"loss_sum", state.loss_sum},
          {"auxiliary_sum", state.auxiliary_sum},
          {"loss_steps", state.loss_steps},
          {"tokens_since_log", state.tokens_since_log},
          {"seconds_since_log", state.seconds_since_log},
          {"total_loss_sum", state.total_loss_sum},
          {"best_metric", state.best_metric},
          {"best_step", state.best_step},
          {"last_eval_loss", state.last_eval_loss},
          {"warnings", state.warnings},
          {"identity", state.identity}};
}

TrainerState state_from_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  TrainerState state;
  state.step = reader.get<int64_t>("step");
  state.epoch = reader.get<double>("epoch");
  state.tokens = reader.get<int64_t>("tokens");
  state.seconds = reader.get<double>("seconds");
  state.evaluation_pending = reader.get<bool>("evaluation_pending");
  state.loss_sum = reader.get<double>("loss_sum");
  state.auxiliary_sum = reader.get<double>("auxiliary_sum");
  state.loss_steps = reader.get<int64_t>("loss_steps");
  state.tokens_since_log = reader.get<int64_t>("tokens_since_log");
  state.seconds_since_log = reader.get<double>("seconds_since_log");
  state.total_loss_sum = reader.get<double>("total_loss_sum");
  state.best_metric = reader.get<double>("best_metric");
  state.best_step = reader.get<int64_t>("best_step");
  state.last_eval_loss = reader.get<double>("last_eval_loss");
  state.warnings = reader.raw("warnings");
  state.identity = reader.raw("identity");
  return state;
}

void save_state(const fs::path& folder, const TrainerState& state, const nn::ParameterStore& store,
                const Optimizer& optimizer, const at::Tensor& routing) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"values", store.values()}, {"exp_avg", optimizer.exp_avg()}, {"exp_avg_sq", optimizer.exp_avg_sq()}};
  if (routing.defined()) tensors.emplace_back("routing", routing);
  nn::save_tensors(folder / kBuffers, tensors, {{"layout", layout_digest(store)}});
  write_text_file(folder / kState, state_to_json(state).dump(2) + "\n");
}

TrainerState load_state(const fs::path& folder) {
  const fs::path path = folder / kState;
  MOREX_CHECK(fs::exists(path), ErrorKind::kFormat, "[{}] is no checkpoint: it has no {}", folder.string(), kState);
  return state_from_json(read_json_file(path), path.string());
}

void load_buffers(const fs::path& folder, nn::ParameterStore& store, const Optimizer& optimizer,
                  const at::Tensor& routing) {
  const io::SafetensorsFile file = open_buffers(folder, store);
  load_tensor(file, "values", store.values());
  load_tensor(file, "exp_avg", optimizer.exp_avg());
  load_tensor(file, "exp_avg_sq", optimizer.exp_avg_sq());
  if (routing.defined()) load_tensor(file, "routing", routing);
}

void load_values(const fs::path& folder, nn::ParameterStore& store) {
  load_tensor(open_buffers(folder, store), "values", store.values());
}

}  // namespace morex::train
