#include "cli/loading.h"

#include "base/error.h"
#include "cli/options.h"
#include "eval/make_embedder.h"
#include "eval/sequence_reader.h"
#include "io/gguf.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

// The centroids that an adapter brings whose gates depend on the prompt's clusters.
std::unique_ptr<eval::ClusterReader> cluster_reader(const LoadedModel& loaded, const ModelArguments& arguments,
                                                    const std::vector<int64_t>& counts, Warnings& warnings) {
  const fs::path file = fs::path(arguments.adapter) / eval::kClusterFile;
  const models::CausalLm& model = *loaded.model;
  eval::EmbedderChoice choice{arguments.encoder, {}};
  if (!arguments.embeddings.empty()) choice.embeddings.push_back({arguments.embeddings, arguments.embeddings_data});
  const auto on_base = [set = loaded.adapter.get()](const std::function<void()>& body) {
    set->detach();
    body();
    set->attach();
  };
  eval::Clusters clusters = eval::load_clusters(file);
  auto embedder = eval::embedder_of(clusters, choice, &model, on_base, file.string(), warnings);
  eval::check_clusters(clusters, counts, *embedder, file.string());
  return std::make_unique<eval::ClusterReader>(std::move(embedder), std::move(clusters), model.device());
}

// What the adapter must know of prompts beyond their ids, and nothing that it has no use for.
void read_sequences(LoadedModel& loaded, const ModelArguments& arguments, Warnings& warnings) {
  const nn::SequenceNeeds needs = loaded.adapter ? loaded.adapter->sequence_needs() : nn::SequenceNeeds();
  MOREX_CHECK(arguments.task.empty() || needs.tasks, ErrorKind::kConfig,
              "--task has no meaning here: no router of an adapter goes by the task");
  MOREX_CHECK((arguments.encoder.empty() && arguments.embeddings.empty()) || !needs.clusters.empty(),
              ErrorKind::kConfig, "--encoder and --embeddings have no meaning here: no adapter uses clusters");
  loaded.by_task = needs.tasks.has_value();
  if (!arguments.task.empty()) needs.tasks->id_of(arguments.task, "--task", ErrorKind::kConfig);
  if (needs.clusters.empty() && !needs.tasks) return;
  std::unique_ptr<eval::ClusterReader> clusters;
  if (!needs.clusters.empty()) clusters = cluster_reader(loaded, arguments, needs.clusters, warnings);
  loaded.prompts = std::make_unique<eval::SequenceReader>(needs, std::move(clusters), loaded.model->device());
  loaded.model->set_prompt_reader(loaded.prompts.get());
}

bool is_gguf(const fs::path& path) { return path.extension() == ".gguf" && !fs::is_directory(path); }

}  // namespace

void add_model_options(Command command, ModelArguments& arguments, bool with_adapter) {
  command.option("--model", arguments.model, "Hugging Face folder or .gguf file").required();
  if (with_adapter) command.option("--adapter", arguments.adapter, "Adapter folder; without it the bare base runs");
  command.option("--tokenizer", arguments.tokenizer, "Tokenizer folder or file (default: the model's own)");
  command.option("--dtype", arguments.dtype, "Of the base's weights and activations")
      .choices({"auto", "float32", "bfloat16", "float64"})
      .show_default();
  command.flag("--load-in-8bit", arguments.load_in_8bit, "Hold the base's linear weights in 8 bits");
  command.option("--device", arguments.device, "Where to compute").choices({"auto", "cpu", "cuda"}).show_default();
}

void add_prompt_options(Command command, ModelArguments& arguments) {
  command.option("--task", arguments.task, "Task of all prompts, for an adapter that goes by the task");
  command.option(
      "--encoder", arguments.encoder,
      "Folder of the sentence encoder that reads prompts for the adapter's clusters (default: where it was)");
  command.option("--embeddings", arguments.embeddings,
                 "Vectors of the data's rows for the adapter's clusters, .npy or .safetensors");
}

LoadedModel load(const ModelArguments& arguments, int64_t threads, Warnings& warnings, bool need_tokenizer,
                 bool reads_prompts) {
  train::Recipe recipe;
  recipe.dtype = arguments.dtype;
  recipe.device = arguments.device;
  recipe.threads = threads;
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  LoadedModel loaded;
  loaded.model = models::load_model(arguments.model, {runtime.dtype, runtime.device, arguments.load_in_8bit}, warnings);
  if (need_tokenizer || !arguments.tokenizer.empty() || has_tokenizer(arguments.model)) {
    loaded.tokenizer = load_tokenizer(arguments);
  }
  if (!arguments.adapter.empty()) {
    const adapters::BaseIdentity base{arguments.model, loaded.model->digest()};
    loaded.adapter = adapters::AdapterSet::load(arguments.adapter, loaded.model->slots(), base,
                                                runtime.parameter_dtype(), runtime.device, warnings);
    loaded.adapter->attach();
  }
  if (reads_prompts) read_sequences(loaded, arguments, warnings);
  return loaded;
}

bool has_tokenizer(const fs::path& path) {
  if (is_gguf(path)) return io::GgufFile::open(path)->has("tokenizer.ggml.model");
  return fs::exists(path / "tokenizer.json") || fs::exists(path / "vocab.json");
}

std::shared_ptr<const text::Tokenizer> load_tokenizer(const ModelArguments& arguments) {
  return text::Tokenizer::load(arguments.tokenizer.empty() ? arguments.model : arguments.tokenizer);
}

void check_new_folder(const fs::path& output) {
  MOREX_CHECK(!fs::exists(output) || (fs::is_directory(output) && fs::is_empty(output)), ErrorKind::kConfig,
              "--output must be a new or empty folder, {} is neither", output.string());
}

}  // namespace morex::cli
