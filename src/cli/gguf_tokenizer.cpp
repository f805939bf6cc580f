#include "cli/gguf_tokenizer.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace morex::cli {

namespace {

// The format's token types that stand apart from the BPE.
constexpr int64_t kControl = 3, kUserDefined = 4;

OrderedJson byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

// How text is cut before the merges, by tokenizer.ggml.pre.
OrderedJson pre_tokenizer(const std::string& where, const std::string& pre) {
  if (pre == "gpt-2") return byte_level(true);
  if (pre == "smollm") {
    const OrderedJson digits = {{"type", "Digits"}, {"individual_digits", true}};
    return {{"type", "Sequence"}, {"pretokenizers", OrderedJson::array({digits, byte_level(true)})}};
  }
  fail(ErrorKind::kConfig,
       "[{}] tokenizer.ggml.pre must be gpt-2 or smollm to be written as tokenizer.json, got '{}'. Hint: merge on the "
       "Hugging Face folder of the same model",
       where, pre);
}

OrderedJson added_tokens(const std::vector<std::string>& tokens, const std::vector<int64_t>& types) {
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[id] == kControl}});
  }
  return added;
}

OrderedJson tokenizer_json(const io::GgufFile& file, const std::vector<std::string>& tokens) {
  OrderedJson vocabulary = OrderedJson::object();
  // Emplaced without a search: an ordered object looks keys up one by one.
  auto& entries = vocabulary.get_ref<OrderedJson::object_t&>();
  for (size_t id = 0; id < tokens.size(); ++id) entries.push_back({tokens[id], id});
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", false},
                             {"vocab", std::move(vocabulary)},
                             {"merges", file.get_strings("tokenizer.ggml.merges")}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(tokens, file.get_ints("tokenizer.ggml.token_type"))},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer(file.path().string(), file.get_string("tokenizer.ggml.pre"))},
          {"post_processor", byte_level(true)},
          {"decoder", byte_level(true)},
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

void write_gguf_tokenizer(const io::GgufFile& file, const std::filesystem::path& folder) {
  const std::string where = file.path().string();
  const std::string model = file.has("tokenizer.ggml.model") ? file.get_string("tokenizer.ggml.model") : "none";
  MOREX_CHECK(model == "gpt2", ErrorKind::kConfig,
              "[{}] the tokenizer must be byte-level BPE (gpt2) to be written as tokenizer.json, got '{}'. Hint: merge "
              "on the Hugging Face folder of the same model",
              where, model);
  MOREX_CHECK(!file.get_bool_or("tokenizer.ggml.add_bos_token", false), ErrorKind::kConfig,
              "[{}] a tokenizer that adds a BOS token cannot be written as tokenizer.json. Hint: merge on the Hugging "
              "Face folder of the same model",
              where);
  const std::vector<std::string> tokens = file.get_strings("tokenizer.ggml.tokens");
  write_text_file(folder / "tokenizer.json", tokenizer_json(file, tokens).dump() + "\n");
  write_text_file(folder / "tokenizer_config.json", tokenizer_config(file, tokens).dump(2) + "\n");
}

}  // namespace morex::cli
