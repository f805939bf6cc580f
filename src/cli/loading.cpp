#include "cli/loading.h"

#include <ATen/Context.h>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/system.h"
#include "io/gguf.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

bool is_gguf(const fs::path& path) { return path.extension() == ".gguf" && !fs::is_directory(path); }

void require_model(const fs::path& path) {
  MOREX_CHECK(fs::exists(path), ErrorKind::kFormat, "[{}] the model must be a folder or a .gguf file, nothing is there",
              path.string());
}

}  // namespace

void add_model_options(CLI::App& command, ModelArguments& arguments, bool with_adapter) {
  command.add_option("--model", arguments.model, "Hugging Face folder or .gguf file")->required();
  if (with_adapter) command.add_option("--adapter", arguments.adapter, "Adapter folder; without it the bare base runs");
  command.add_option("--tokenizer", arguments.tokenizer, "Tokenizer folder or file (default: the model's own)");
  command.add_option("--dtype", arguments.dtype, "Of the base's weights and activations")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float64"}))
      ->capture_default_str();
  command.add_option("--device", arguments.device, "Where to compute")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
}

LoadedModel load(const ModelArguments& arguments, Warnings& warnings, bool need_tokenizer) {
  require_model(arguments.model);
  LoadedModel loaded;
  models::LoadOptions options;
  options.device = resolve_device(arguments.device);
  options.dtype = resolve_dtype(arguments.dtype, models::load_model_config(arguments.model, warnings).stored_dtype);
  loaded.model = models::load_model(arguments.model, options, warnings);
  if (need_tokenizer || !arguments.tokenizer.empty() || has_tokenizer(arguments.model)) {
    loaded.tokenizer = load_tokenizer(arguments);
  }
  if (arguments.adapter.empty()) return loaded;
  const adapters::BaseIdentity base{arguments.model, loaded.model->digest()};
  const at::ScalarType parameters = options.dtype == at::kDouble ? at::kDouble : at::kFloat;
  loaded.adapter =
      adapters::AdapterSet::load(arguments.adapter, loaded.model->slots(), base, parameters, options.device, warnings);
  loaded.adapter->attach();
  return loaded;
}

bool has_tokenizer(const fs::path& path) {
  if (is_gguf(path)) return io::GgufFile::open(path)->has("tokenizer.ggml.model");
  return fs::exists(path / "tokenizer.json") || fs::exists(path / "vocab.json");
}

std::shared_ptr<const text::Tokenizer> load_tokenizer(const ModelArguments& arguments) {
  return text::Tokenizer::load(arguments.tokenizer.empty() ? arguments.model : arguments.tokenizer);
}

at::ScalarType resolve_dtype(const std::string& name, const std::string& stored_dtype) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float64") return at::kDouble;
  const CpuFeatures cpu = cpu_features();
  const bool native = cpu.avx512_bf16 || cpu.amx_bf16;
  return stored_dtype == "bfloat16" && native ? at::kBFloat16 : at::kFloat;
}

at::Device resolve_device(const std::string& name) {
  const bool has_cuda = at::globalContext().hasCUDA();
  MOREX_CHECK(name != "cuda" || has_cuda, ErrorKind::kConfig,
              "device 'cuda' must be available, this build or machine has none. Hint: device cpu, see morex doctor");
  const bool use_cuda = name == "cuda" || (name == "auto" && has_cuda);
  return use_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
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
