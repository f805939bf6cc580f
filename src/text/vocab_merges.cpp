#include "text/vocab_merges.h"

#include <algorithm>

#include "base/files.h"
#include "text/gpt_rules.h"
#include "text/tokenizer_config.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

void read_vocabulary(const fs::path& path, TokenizerSpec& spec) {
  const Json json = read_json_file(path);
  MOREX_CHECK(json.is_object(), ErrorKind::kFormat, "[{}] must be an object of tokens and ids", path.string());
  spec.vocabulary.reserve(json.size(), 8 * json.size());
  for (const auto& [token, id] : json.items()) {
    MOREX_CHECK(
        id.is_number_unsigned() && id.get<uint64_t>() < (1 << 24) && spec.vocabulary.add(token, id.get<int32_t>()),
        ErrorKind::kFormat, "[{}] the id of '{}' must be a natural number of its own, got {}", path.string(), token,
        id.dump());
  }
}

void read_merges(const fs::path& path, TokenizerSpec& spec) {
  const std::string text = read_text_file(path);
  MergeReader reader(spec, spec.vocabulary.count(), false);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    reader.add_line(line);
  }
  reader.finish();
}

// The special tokens that the reference's class has when the files name none.
void use_class_defaults(TokenizerSpec& spec, bool gpt2) {
  constexpr const char* kEnd = "<|endoftext|>";
  const int32_t id = spec.vocabulary.find(kEnd);
  if (id == Vocabulary::kAbsent) return;
  SpecialTokens& names = spec.special_tokens;
  if (names.eos.empty()) names.eos = kEnd;
  if (names.unk.empty()) names.unk = kEnd;
  if (gpt2 && names.bos.empty()) names.bos = kEnd;
  if (!gpt2 && names.pad.empty()) names.pad = kEnd;
}

}  // namespace

TokenizerSpec read_vocab_and_merges(const fs::path& folder) {
  TokenizerSpec spec;
  const std::string name = tokenizer_class(folder);
  const bool gpt2 = name.empty() || name == "GPT2Tokenizer" || name == "GPT2TokenizerFast";
  const bool qwen2 = name == "Qwen2Tokenizer" || name == "Qwen2TokenizerFast";
  MOREX_CHECK(gpt2 || qwen2, ErrorKind::kFormat,
              "[{}] tokenizer_class {} with vocab.json and merges.txt is not supported. Hint: use a tokenizer.json",
              folder.string(), name);
  spec.where = (folder / "vocab.json").string();
  read_vocabulary(folder / "vocab.json", spec);
  spec.where = (folder / "merges.txt").string();
  read_merges(folder / "merges.txt", spec);
  spec.where = folder.string();
  read_tokenizer_config(folder, spec);
  use_class_defaults(spec, gpt2);

  const ByteLevelFamily& family = *byte_level_family(gpt2 ? "gpt-2" : "qwen2");
  spec.normalizer = normalizer_of(family);
  spec.pre_tokenizer = byte_level_pre_tokenizer(family);
  spec.post_processor = {{"type", "ByteLevel"}, {"add_prefix_space", gpt2}, {"trim_offsets", false}};
  spec.decoder = {{"type", "ByteLevel"}};
  const SpecialTokens& names = spec.special_tokens;
  for (const std::string& content : {names.bos, names.eos, names.pad, names.unk}) {
    const bool known = std::any_of(spec.added_tokens.begin(), spec.added_tokens.end(),
                                   [&](const AddedToken& token) { return token.content == content; });
    const int32_t id = spec.vocabulary.find(content);
    if (content.empty() || known || id == Vocabulary::kAbsent) continue;
    AddedToken token;
    token.content = content;
    token.id = id;
    token.special = true;
    token.normalized = false;
    spec.added_tokens.push_back(std::move(token));
  }
  return spec;
}

}  // namespace morex::text
