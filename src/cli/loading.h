// What eval, generate, merge, convert and inspect share: a base model, its tokenizer, an adapter on it.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>

#include "adapters/adapter_set.h"
#include "base/warnings.h"
#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::cli {

class Command;

// The options of every command that runs a model.
struct ModelArguments {
  std::string model, adapter, tokenizer;  // adapter: "" = the bare base; tokenizer: "" = the model's own
  std::string dtype = "auto", device = "auto";
  bool load_in_8bit = false;
  // What an adapter may have to know of prompts: the task of all of them, the sentence encoder that reads them, or a
  // file with their vectors and the data file whose rows these belong to.
  std::string task, encoder, embeddings, embeddings_data;
};

void add_model_options(Command command, ModelArguments& arguments, bool with_adapter = true);
void add_prompt_options(Command command, ModelArguments& arguments);

struct LoadedModel {
  // The adapter is destroyed first: it points into the model's slots.
  std::unique_ptr<models::CausalLm> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<adapters::AdapterSet> adapter;  // attached; null without --adapter
  std::unique_ptr<nn::PromptReader> prompts;      // of an adapter that must know more of a prompt than its ids
  bool by_task = false;                           // a router of the adapter goes by the task
};

// Loads all, the base in the type that training would choose, and sets the number of threads (0: all cores).
// `need_tokenizer` false: a model without tokenizer files gets none. `reads_prompts` false: nothing will run that must
// know prompts, so an adapter's clusters may lie anywhere. Throws what the loaders throw.
LoadedModel load(const ModelArguments& arguments, int64_t threads, Warnings& warnings, bool need_tokenizer = true,
                 bool reads_prompts = true);

// Whether the model at `path` (a folder or a .gguf file) brings a tokenizer.
bool has_tokenizer(const std::filesystem::path& path);
std::shared_ptr<const text::Tokenizer> load_tokenizer(const ModelArguments& arguments);

// Throws Error(kConfig) unless `output` is a new or empty folder.
void check_new_folder(const std::filesystem::path& output);

}  // namespace morex::cli
