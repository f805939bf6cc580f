#include "cli/hf_folder.h"

#include <array>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "cli/gguf_tokenizer.h"
#include "io/gguf.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::array kTokenizerFiles = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "tokenizer.model",
                                        "generation_config.json"};

}  // namespace

void write_config(const models::ModelConfig& config, const std::string& dtype, const fs::path& folder) {
  MOREX_CHECK(
      config.rope_scaling.frequency_divisors.empty(), ErrorKind::kConfig,
      "the base's rope_freqs.weight has no place in a config.json. Hint: take the base as a Hugging Face folder");
  Json json = config.source;
  json.erase("dtype");  // transformers' newer name of the same key
  json["torch_dtype"] = dtype;
  write_text_file(folder / "config.json", json.dump(2) + "\n");
}

void write_tokenizer_files(const fs::path& model, const fs::path& folder) {
  if (!fs::is_directory(model)) return write_gguf_tokenizer(*io::GgufFile::open(model), folder);
  for (const char* name : kTokenizerFiles) {
    if (fs::exists(model / name)) write_text_file(folder / name, read_text_file(model / name));
  }
}

}  // namespace morex::cli
