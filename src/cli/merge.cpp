// morex merge: base and adapter to one Hugging Face folder.
#include <ATen/ops/isfinite.h>
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/hf_folder.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "nn/tensor_file.h"
#include "text/tokenizer_files.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct MergeOptions {
  ModelArguments model;
  std::string output, save_dtype = "auto";
};

// "auto": the type the base is stored in; what a .gguf file dequantises to is float32.
at::ScalarType stored_type(const std::string& name, const std::string& stored) {
  const std::string chosen = name == "auto" ? stored : name;
  if (chosen == "bfloat16") return at::kBFloat16;
  if (chosen == "float16") return at::kHalf;
  return at::kFloat;
}

void save_weights(models::CausalLm& model, const fs::path& path, at::ScalarType dtype) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  int64_t bytes = 0;
  for (const models::NamedWeight& weight : model.weights()) {
    const at::Tensor value = weight.slot->detach().to(dtype);
    MOREX_CHECK(at::isfinite(value).all().item<bool>(), ErrorKind::kNumeric,
                "[{}] must be finite after merging into {}, got NaN or infinity", weight.name,
                train::dtype_name(dtype));
    bytes += value.numel() * value.element_size();
    tensors.emplace_back(weight.name, value);
  }
  nn::save_tensors(path, tensors, {{"format", "pt"}});
  fmt::print("{}  {} tensors, {}\n", path.string(), tensors.size(), format_bytes(static_cast<double>(bytes)));
}

void run(const MergeOptions& options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  check_new_folder(options.output);
  const LoadedModel loaded =
      load(options.model, globals.threads, warnings, /*need_tokenizer=*/false, /*reads_prompts=*/false);
  const std::string reason = loaded.adapter->why_not_mergeable();
  MOREX_CHECK(reason.empty(), ErrorKind::kConfig, "[{}] cannot be merged: {}", options.model.adapter, reason);
  loaded.adapter->merge_into_base();
  const at::ScalarType dtype = stored_type(options.save_dtype, loaded.model->config().stored_dtype);
  const std::string config = config_text(loaded.model->config(), train::dtype_name(dtype));
  const fs::path folder = options.output;
  make_directories(folder);
  // config.json last: without it the folder is no model.
  text::write_tokenizer_files(options.model.model, folder);
  save_weights(*loaded.model, folder / "model.safetensors", dtype);
  write_text_file(folder / "config.json", config);
}

}  // namespace

void add_merge(Command program, Globals& globals) {
  const auto options = std::make_shared<MergeOptions>();
  options->model.dtype = "float32";  // the sums are formed in float32 whatever the base is stored in
  Command command = program.subcommand("merge", "Fold a LoRA adapter into its base: a plain Hugging Face folder");
  command.option("--model", options->model.model, "Hugging Face folder or .gguf file").required();
  command.option("--adapter", options->model.adapter, "Adapter folder").required();
  command.option("--output", options->output, "New folder").required();
  command.option("--dtype", options->save_dtype, "Of the saved weights (auto: as the base is stored)")
      .choices({"auto", "float32", "bfloat16", "float16"})
      .show_default();
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
