#include "text/gguf_tokenizer_files.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/gguf_tokenizer.h"

namespace morex::text {

namespace {

OrderedJson added_tokens(const TokenizerSpec& spec) {
  OrderedJson added = OrderedJson::array();
  for (const AddedToken& token : spec.added_tokens) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  return added;
}

OrderedJson ordered(const Json& value) { return OrderedJson::parse(value.dump()); }

OrderedJson tokenizer_json(const io::GgufFile& file, const std::vector<std::string>& tokens) {
  const TokenizerSpec spec = read_gguf_tokenizer(file);
  OrderedJson vocabulary = OrderedJson::object();
  // Appended without a search: an ordered object looks keys up one by one.
  auto& entries = vocabulary.get_ref<OrderedJson::object_t&>();
  for (size_t id = 0; id < tokens.size(); ++id) entries.push_back({tokens[id], id});
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", spec.bpe.ignore_merges},
                             {"vocab", std::move(vocabulary)},
                             {"merges", file.get_strings("tokenizer.ggml.merges")}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(spec)},
          {"normalizer", ordered(spec.normalizer)},
          {"pre_tokenizer", ordered(spec.pre_tokenizer)},
          {"post_processor", ordered(spec.post_processor)},
          {"decoder", ordered(spec.decoder)},
          {"model", model}};
}

OrderedJson tokenizer_config(const io::GgufFile& file, const std::vector<std::string>& tokens) {
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_prefix_space", false}};
  const std::vector<std::pair<std::string, std::string>> names = {
      {"bos", "bos_token"}, {"eos", "eos_token"}, {"unknown", "unk_token"}, {"padding", "pad_token"}};
  for (const auto& [stored, name] : names) {
    const int64_t id = file.get_int_or("tokenizer.ggml." + stored + "_token_id", -1);
    if (id >= 0 && id < static_cast<int64_t>(tokens.size())) config[name] = tokens[static_cast<size_t>(id)];
  }
  if (file.has("tokenizer.chat_template")) config["chat_template"] = file.get_string("tokenizer.chat_template");
  return config;
}

}  // namespace

std::string why_not_writable(const io::GgufFile& file) {
  const std::string model = file.has("tokenizer.ggml.model") ? file.get_string("tokenizer.ggml.model") : "none";
  if (model == "gpt2") return "";
  return fmt::format(
      "[{}] the tokenizer must be byte-level BPE (gpt2) to be written as tokenizer.json, got '{}'. Hint: take the "
      "Hugging Face folder of the same model",
      file.path().string(), model);
}

void write_gguf_tokenizer(const io::GgufFile& file, const std::filesystem::path& folder) {
  const std::string problem = why_not_writable(file);
  if (!problem.empty()) fail(ErrorKind::kConfig, "{}", problem);
  const std::vector<std::string> tokens = file.get_strings("tokenizer.ggml.tokens");
  write_text_file(folder / "tokenizer.json", tokenizer_json(file, tokens).dump() + "\n");
  write_text_file(folder / "tokenizer_config.json", tokenizer_config(file, tokens).dump(2) + "\n");
}

}  // namespace morex::text
