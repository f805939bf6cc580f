#include "text/tokenizer_json.h"

#include "base/files.h"
#include "text/tokenizer_json_sax.h"

namespace morex::text {
namespace {

constexpr int64_t kMaxId = 1 << 24;  // guards the tables that are indexed by id

int32_t unknown_token(const TokenizerSpec& spec, const JsonReader& model, const std::string& token) {
  const int32_t id = spec.vocabulary.find(token);
  MOREX_CHECK(id != Vocabulary::kAbsent, ErrorKind::kFormat, "[{}] unk_token '{}' is not in the vocabulary",
              model.where(), token);
  return id;
}

void read_bpe_options(TokenizerSpec& spec, const JsonReader& model) {
  spec.bpe.ignore_merges = model.get_or<bool>("ignore_merges", false);
  spec.bpe.byte_fallback = model.get_or<bool>("byte_fallback", false);
  spec.bpe.fuse_unk = model.get_or<bool>("fuse_unk", false);
  MOREX_CHECK(model.get_or<double>("dropout", 0) == 0, ErrorKind::kFormat, "[{}] dropout must be 0", model.where());
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto value = model.get_or<std::string>(key, "");
    MOREX_CHECK(value.empty(), ErrorKind::kFormat, "[{}] {} '{}' is not supported", model.where(), key, value);
  }
  if (const auto unk = model.find<std::string>("unk_token")) spec.bpe.unk = unknown_token(spec, model, *unk);
}

WordPieceOptions read_word_piece_options(const TokenizerSpec& spec, const JsonReader& model) {
  WordPieceOptions options;
  options.prefix = model.get_or<std::string>("continuing_subword_prefix", options.prefix);
  options.unk = unknown_token(spec, model, model.get_or<std::string>("unk_token", "[UNK]"));
  options.longest_word = model.get_or<int64_t>("max_input_chars_per_word", options.longest_word);
  MOREX_CHECK(options.longest_word > 0, ErrorKind::kFormat, "[{}] max_input_chars_per_word must be positive, got {}",
              model.where(), options.longest_word);
  return options;
}

void read_added_tokens(TokenizerSpec& spec, const Json& list) {
  for (const Json& entry : list) {
    const JsonReader reader(entry, spec.where + ": added_tokens");
    AddedToken token;
    token.content = reader.get<std::string>("content");
    const auto id = reader.get<int64_t>("id");
    MOREX_CHECK(id >= 0 && id < kMaxId, ErrorKind::kFormat, "[{}] the id of '{}' must be 0 to {}, got {}",
                reader.where(), token.content, kMaxId - 1, id);
    token.id = static_cast<int32_t>(id);
    const int32_t known = spec.vocabulary.find(token.content);
    MOREX_CHECK(known == Vocabulary::kAbsent || known == token.id, ErrorKind::kFormat,
                "[{}] '{}' has id {}, but the vocabulary says {}", reader.where(), token.content, id, known);
    token.special = reader.get_or<bool>("special", false);
    token.single_word = reader.get_or<bool>("single_word", false);
    token.lstrip = reader.get_or<bool>("lstrip", false);
    token.rstrip = reader.get_or<bool>("rstrip", false);
    token.normalized = reader.get_or<bool>("normalized", !token.special);
    spec.added_tokens.push_back(std::move(token));
  }
}

}  // namespace

TokenizerSpec read_tokenizer_json(const std::filesystem::path& path) {
  TokenizerSpec spec;
  spec.where = path.string();
  const std::string content = read_text_file(path);
  TokenizerJsonHandler file;
  MOREX_CHECK(Json::sax_parse(content, &file), ErrorKind::kFormat, "[{}] {}", spec.where, file.error);
  const JsonReader root(file.rest, spec.where);
  const JsonReader model(root.raw("model"), spec.where + ": model");
  // Files before 2020 name no type for BPE, but have merges.
  const auto type = model.get_or<std::string>("type", file.has_merges ? "BPE" : "none");
  const bool word_piece = type == "WordPiece";
  MOREX_CHECK(type == "BPE" || word_piece, ErrorKind::kFormat,
              "[{}] model of type {} is not supported. Hint: BPE and WordPiece are", spec.where, type);
  MOREX_CHECK(file.has_vocabulary && file.has_merges == !word_piece, ErrorKind::kFormat, "[{}] model must have {}",
              spec.where, word_piece ? "vocab and no merges" : "vocab and merges");

  spec.vocabulary.reserve(file.vocabulary.size(), file.text_bytes());
  for (const auto& [token, id] : file.vocabulary) {
    MOREX_CHECK(id >= 0 && id < kMaxId, ErrorKind::kFormat, "[{}] model.vocab: the id of '{}' must be 0 to {}, got {}",
                spec.where, file.view(token), kMaxId - 1, id);
    MOREX_CHECK(spec.vocabulary.add(file.view(token), static_cast<int32_t>(id)), ErrorKind::kFormat,
                "[{}] model.vocab: '{}' or its id {} stands there twice", spec.where, file.view(token), id);
  }
  MergeReader merges(spec, file.merges.size(), false);
  for (const auto& merge : file.merges) {
    merge.is_line ? merges.add_line(file.view(merge.left)) : merges.add(file.view(merge.left), file.view(merge.right));
  }
  merges.finish();
  if (word_piece) {
    spec.word_piece = read_word_piece_options(spec, model);
  } else {
    read_bpe_options(spec, model);
  }
  read_added_tokens(spec, root.raw("added_tokens"));
  spec.normalizer = root.raw("normalizer");
  spec.pre_tokenizer = root.raw("pre_tokenizer");
  spec.post_processor = root.raw("post_processor");
  spec.decoder = root.raw("decoder");
  return spec;
}

}  // namespace morex::text
