#include "cli/loading.h"

#include "base/error.h"
#include "cli/options.h"
#include "eval/cluster_reader.h"
#include "io/gguf.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

// An adapter whose gates depend on the prompt's clusters brings their centroids.
void read_clusters(LoadedModel& loaded, const fs::path& adapter) {
  const std::vector<int64_t> counts = loaded.adapter->cluster_counts();
  if (counts.empty()) return;
  const fs::path file = adapter / eval::kClusterFile;
  models::CausalLm* model = loaded.model.get();
  eval::Clusters clusters = eval::load_clusters(file);
  eval::check_clusters(clusters, counts, model->digest(), model->config().hidden_size, file.string());
  loaded.prompts = std::make_unique<eval::ClusterReader>(
      *model, std::move(clusters), [set = loaded.adapter.get()](const std::function<void()>& body) {
        set->detach();
        body();
        set->attach();
      });
  model->set_prompt_reader(loaded.prompts.get());
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
  command.option("--device", arguments.device, "Where to compute").choices({"auto", "cpu", "cuda"}).show_default();
}

LoadedModel load(const ModelArguments& arguments, int64_t threads, Warnings& warnings, bool need_tokenizer) {
  train::Recipe recipe;
  recipe.dtype = arguments.dtype;
  recipe.device = arguments.device;
  recipe.threads = threads;
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  LoadedModel loaded;
  loaded.model = models::load_model(arguments.model, {runtime.dtype, runtime.device}, warnings);
  if (need_tokenizer || !arguments.tokenizer.empty() || has_tokenizer(arguments.model)) {
    loaded.tokenizer = load_tokenizer(arguments);
  }
  if (arguments.adapter.empty()) return loaded;
  const adapters::BaseIdentity base{arguments.model, loaded.model->digest()};
  loaded.adapter = adapters::AdapterSet::load(arguments.adapter, loaded.model->slots(), base, runtime.parameter_dtype(),
                                              runtime.device, warnings);
  loaded.adapter->attach();
  read_clusters(loaded, arguments.adapter);
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

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace morex::cli
