#include "text/tokenizer_config.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

// A special token is written as its text or as an object with `content`.
std::string token_text(const JsonReader& reader, const std::string& key) {
  const Json& value = reader.raw(key);
  if (value.is_object()) return JsonReader(value, reader.where() + ": " + key).get<std::string>("content");
  return reader.get_or<std::string>(key, "");
}

void read_special_tokens(const JsonReader& reader, SpecialTokens& tokens) {
  const auto fill = [&](std::string& name, const std::string& key) {
    if (name.empty()) name = token_text(reader, key);
  };
  fill(tokens.bos, "bos_token");
  fill(tokens.eos, "eos_token");
  fill(tokens.pad, "pad_token");
  fill(tokens.unk, "unk_token");
}

// One template, or a list of named ones, of which "default" is taken.
std::string chat_template(const JsonReader& reader) {
  const Json& value = reader.raw("chat_template");
  if (!value.is_array()) return reader.get_or<std::string>("chat_template", "");
  for (const Json& entry : value) {
    const JsonReader named(entry, reader.where() + ": chat_template");
    if (named.get<std::string>("name") == "default") return named.get<std::string>("template");
  }
  return "";
}

void add_token(TokenizerSpec& spec, AddedToken token) {
  const auto known = std::find_if(spec.added_tokens.begin(), spec.added_tokens.end(),
                                  [&](const AddedToken& other) { return other.content == token.content; });
  if (known == spec.added_tokens.end()) {
    spec.added_tokens.push_back(std::move(token));
  } else {
    *known = std::move(token);
  }
}

void read_added_tokens(const JsonReader& reader, TokenizerSpec& spec) {
  for (const auto& [key, value] : reader.raw("added_tokens_decoder").items()) {
    const JsonReader entry(value, reader.where() + ": added_tokens_decoder");
    AddedToken token;
    token.content = entry.get<std::string>("content");
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    MOREX_CHECK(error == std::errc() && *end == '\0' && token.id >= 0 && token.id < (1 << 24), ErrorKind::kFormat,
                "[{}] the id of '{}' must be a natural number, got '{}'", entry.where(), token.content, key);
    const int32_t known = spec.vocabulary.find(token.content);
    MOREX_CHECK(known == Vocabulary::kAbsent || known == token.id, ErrorKind::kFormat,
                "[{}] '{}' has id {}, but the vocabulary says {}", entry.where(), token.content, token.id, known);
    token.special = entry.get_or<bool>("special", false);
    token.single_word = entry.get_or<bool>("single_word", false);
    token.lstrip = entry.get_or<bool>("lstrip", false);
    token.rstrip = entry.get_or<bool>("rstrip", false);
    token.normalized = entry.get_or<bool>("normalized", !token.special);
    add_token(spec, std::move(token));
  }
}

}  // namespace

void read_tokenizer_config(const fs::path& folder, TokenizerSpec& spec) {
  const fs::path config = folder / "tokenizer_config.json";
  if (fs::exists(config)) {
    const Json json = read_json_file(config);
    const JsonReader reader(json, config.string());
    read_special_tokens(reader, spec.special_tokens);
    read_added_tokens(reader, spec);
    spec.chat_template = chat_template(reader);
  }
  const fs::path map = folder / "special_tokens_map.json";
  if (fs::exists(map)) {
    const Json json = read_json_file(map);
    read_special_tokens(JsonReader(json, map.string()), spec.special_tokens);
  }
  const fs::path file = folder / "chat_template.jinja";
  if (fs::exists(file)) spec.chat_template = read_text_file(file);
}

std::string tokenizer_class(const fs::path& folder) {
  const fs::path config = folder / "tokenizer_config.json";
  if (!fs::exists(config)) return "";
  const Json json = read_json_file(config);
  return JsonReader(json, config.string()).get_or<std::string>("tokenizer_class", "");
}

}  // namespace morex::text
