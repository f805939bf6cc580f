#include "train/trainable.h"

#include <ATen/ops/equal.h>

#include <optional>

#include "adapters/method_config.h"
#include "io/safetensors.h"
#include "nn/tensor_file.h"
#include "train/full_finetune.h"
#include "train/sequence_inputs.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

class AdapterTrainable final : public Trainable {
 public:
  AdapterTrainable(std::unique_ptr<adapters::AdapterSet> set, adapters::BaseIdentity base)
      : set_(std::move(set)), base_(std::move(base)) {}

  nn::ParameterStore& parameters() override { return set_->parameters(); }
  const nn::ParameterStore& parameters() const override { return set_->parameters(); }
  at::Tensor auxiliary_loss(const nn::RoutingReport& report) const override { return set_->auxiliary_loss(report); }
  void save(const fs::path& folder) const override {
    // The adapter's tensors last: with them the folder is complete.
    if (clusters_) eval::save_clusters(folder / eval::kClusterFile, *clusters_);
    set_->save(folder, base_);
  }
  fs::path parameter_file(const fs::path& folder) const override { return folder / "adapter_model.safetensors"; }

  nn::SequenceNeeds sequence_needs() const override { return set_->sequence_needs(); }
  const adapters::AdapterSet* adapter_set() const override { return set_.get(); }
  void keep_clusters(const eval::Clusters& clusters) override { clusters_ = clusters; }

  Json cost() const override {
    int64_t trainable = 0, active = 0;
    double flops = 0, sparse_flops = 0, routing_flops = 0;
    for (const adapters::SiteCost& site : set_->costs()) {
      trainable += site.trainable;
      active += site.active;
      flops += site.flops_per_token;
      sparse_flops += site.sparse_flops_per_token;
      routing_flops += site.routing_flops;
    }
    return {{"trainable_parameters", trainable},
            {"active_parameters", active},
            {"bytes", static_cast<int64_t>(parameters().parameter_count() * parameters().values().element_size())},
            {"training_bytes", static_cast<int64_t>(4 * parameters().size() * parameters().values().element_size())},
            {"flops_per_token", flops},
            {"sparse_flops_per_token", sparse_flops},
            {"routing_flops_per_token", routing_flops}};
  }

  bool without(const std::function<void()>& body) override {
    set_->detach();
    body();
    set_->attach();
    return true;
  }

 private:
  std::unique_ptr<adapters::AdapterSet> set_;
  adapters::BaseIdentity base_;
  std::optional<eval::Clusters> clusters_;
};

}  // namespace

bool trains_all(const Recipe& recipe) { return recipe.method.value("method", Json()) == "full"; }

NeededColumns needed_columns(const Recipe& recipe) {
  NeededColumns needed;
  if (trains_all(recipe)) return needed;
  for (const adapters::MethodEntry& entry : adapters::read_method(recipe.method)) {
    needed.task = needed.task || adapters::needs_tasks(entry);
    needed.sample_type = needed.sample_type || adapters::needs_sample_types(entry);
  }
  return needed;
}

data::Dataset load_train_rows(const Recipe& recipe, const text::Tokenizer& tokenizer, Warnings& warnings) {
  const NeededColumns needed = needed_columns(recipe);
  data::DatasetOptions options = recipe.data;
  options.wants_task = needed.task;
  options.wants_sample_type = needed.sample_type;
  return data::load_dataset(recipe.train_file, tokenizer, options, warnings);
}

Recipe with_tasks_of(const Recipe& recipe, const std::vector<data::Example>& examples) {
  Recipe known = recipe;
  if (!trains_all(recipe)) known.method = adapters::with_task_names(recipe.method, task_names_of(examples));
  return known;
}

std::unique_ptr<Trainable> make_trainable(const Recipe& recipe, const Runtime& runtime, models::CausalLm& model,
                                          Warnings& warnings, const std::vector<std::string>& task_names) {
  if (trains_all(recipe)) return make_full_trainable(recipe, runtime, model, warnings);
  const adapters::BaseIdentity base{recipe.model_name_or_path, model.digest()};
  auto set = adapters::AdapterSet::create(adapters::with_task_names(recipe.method, task_names), model.slots(),
                                          runtime.parameter_dtype(), runtime.device, warnings, base);
  set->initialize(recipe.seed);
  set->attach();
  return std::make_unique<AdapterTrainable>(std::move(set), base);
}

void verify_saved(const Trainable& trainable, const fs::path& folder) {
  const fs::path path = trainable.parameter_file(folder);
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  const nn::ParameterStore& store = trainable.parameters();
  for (const nn::NamedView& view : store.views()) {
    const at::Tensor value = store.named_value(view).cpu();
    const io::StoredTensor* stored = file.find(view.name);
    const bool same = stored != nullptr && nn::scalar_type(stored->dtype) == value.scalar_type() &&
                      at::equal(nn::tensor_view(*stored), value);
    MOREX_CHECK(same, ErrorKind::kRun, "[{}] '{}' must read back as it was written, but {}", path.string(), view.name,
                stored == nullptr ? "it is not there" : "the values differ");
    stored->file->release(stored->bytes);  // read once: its pages would be the run's peak
  }
}

}  // namespace morex::train
