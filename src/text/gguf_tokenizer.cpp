#include "text/gguf_tokenizer.h"

#include <algorithm>
#include <functional>

#include "base/strings.h"
#include "text/gpt_rules.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

// Values of tokenizer.ggml.token_type.
enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

class Reader {
 public:
  explicit Reader(const io::GgufFile& file) : file_(file) { spec_.where = file.path().string(); }

  TokenizerSpec read() {
    const std::string model = file_.get_string("tokenizer.ggml.model");
    MOREX_CHECK(model == "gpt2" || model == "llama", ErrorKind::kFormat,
                "[{}] tokenizer.ggml.model {} is not supported. Hint: gpt2 and llama are", spec_.where, model);
    read_vocabulary();
    if (model == "gpt2") {
      read_byte_level();
    } else {
      read_sentence_piece();
    }
    spec_.special_tokens = {token_named("bos_token_id"), token_named("eos_token_id"), token_named("padding_token_id"),
                            token_named("unknown_token_id")};
    if (file_.has("tokenizer.chat_template")) spec_.chat_template = file_.get_string("tokenizer.chat_template");
    return std::move(spec_);
  }

 private:
  void read_vocabulary() {
    const std::vector<std::string> tokens = file_.get_strings("tokenizer.ggml.tokens");
    MOREX_CHECK(!tokens.empty() && tokens.size() < (1 << 24), ErrorKind::kFormat,
                "[{}] tokenizer.ggml.tokens must have 1 to 2^24 entries, got {}", spec_.where, tokens.size());
    if (file_.has("tokenizer.ggml.token_type")) types_ = file_.get_ints("tokenizer.ggml.token_type");
    MOREX_CHECK(types_.empty() || types_.size() == tokens.size(), ErrorKind::kFormat,
                "[{}] tokenizer.ggml.token_type has {} entries, expected {}", spec_.where, types_.size(),
                tokens.size());
    types_.resize(tokens.size(), kNormal);
    spec_.vocabulary.reserve(tokens.size(), 8 * tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto id = static_cast<int32_t>(i);
      spec_.vocabulary.add(tokens[i], id);  // of equal tokens the first is the one that encoding finds
      if (types_[i] != kControl && types_[i] != kUserDefined && types_[i] != kUnknown) continue;
      AddedToken added;
      added.content = tokens[i];
      added.id = id;
      added.special = types_[i] != kUserDefined;
      added.normalized = false;
      spec_.added_tokens.push_back(std::move(added));
    }
  }

  void read_byte_level() {
    const std::vector<std::string> merges = file_.get_strings("tokenizer.ggml.merges");
    MergeReader reader(spec_, merges.size(), true);
    for (const std::string& merge : merges) reader.add_line(merge);
    reader.finish();
    MOREX_CHECK(
        file_.has("tokenizer.ggml.pre"), ErrorKind::kFormat,
        "[{}] tokenizer.ggml.pre is missing, so the splitting rules are not known. Hint: convert the model again "
        "with a newer converter",
        spec_.where);
    const std::string pre = file_.get_string("tokenizer.ggml.pre");
    const ByteLevelFamily* family = byte_level_family(pre);
    MOREX_CHECK(family != nullptr, ErrorKind::kFormat,
                "[{}] tokenizer.ggml.pre {} is not supported. Hint: known are {}", spec_.where, pre,
                join(byte_level_family_names(), ", "));
    spec_.bpe.ignore_merges = family->ignore_merges;
    spec_.normalizer = normalizer_of(*family);
    spec_.pre_tokenizer = byte_level_pre_tokenizer(*family);
    spec_.decoder = {{"type", "ByteLevel"}};
    read_template(family->add_bos);
  }

  void read_sentence_piece() {
    MOREX_CHECK(!file_.get_bool_or("tokenizer.ggml.remove_extra_whitespaces", false), ErrorKind::kFormat,
                "[{}] tokenizer.ggml.remove_extra_whitespaces is not supported", spec_.where);
    const std::vector<double> scores = file_.get_floats("tokenizer.ggml.scores");
    MOREX_CHECK(scores.size() == types_.size(), ErrorKind::kFormat,
                "[{}] tokenizer.ggml.scores has {} entries, expected {}", spec_.where, scores.size(), types_.size());
    add_merges_by_score(scores);
    spec_.bpe.byte_fallback = true;
    spec_.bpe.fuse_unk = true;
    if (file_.has("tokenizer.ggml.unknown_token_id")) {
      spec_.bpe.unk = static_cast<int32_t>(id_of("unknown_token_id"));
    } else if (const auto unknown = std::find(types_.begin(), types_.end(), kUnknown); unknown != types_.end()) {
      spec_.bpe.unk = static_cast<int32_t>(unknown - types_.begin());
    }
    const bool prefix = file_.get_bool_or("tokenizer.ggml.add_space_prefix", true);
    const Json spaces = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
    Json steps = Json::array();
    if (prefix) steps.push_back({{"type", "Prepend"}, {"prepend", "▁"}});
    steps.push_back(spaces);
    spec_.normalizer = {{"type", "Sequence"}, {"normalizers", steps}};
    Json decoders = Json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                                 {{"type", "ByteFallback"}},
                                 {{"type", "Fuse"}}});
    if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    spec_.decoder = {{"type", "Sequence"}, {"decoders", decoders}};
    read_template(true);
  }

  // Two neighbours merge when together they are a token; the highest score goes first.
  void add_merges_by_score(const std::vector<double>& scores) {
    std::vector<double> order = scores;
    std::sort(order.begin(), order.end(), std::greater<>());
    order.erase(std::unique(order.begin(), order.end()), order.end());
    const auto mergeable = [&](int32_t id) {
      return id != Vocabulary::kAbsent &&
             (types_[id] == kNormal || types_[id] == kUserDefined || types_[id] == kUnused);
    };
    for (int32_t id = 0; id < spec_.vocabulary.size(); ++id) {
      const std::string_view token = spec_.vocabulary.token(id);
      if (!mergeable(id) || spec_.vocabulary.find(token) != id) continue;
      const auto place = std::lower_bound(order.begin(), order.end(), scores[id], std::greater<>());
      const Merge merge = {static_cast<int32_t>(place - order.begin()), id};
      for (size_t cut = 1; cut < token.size(); ++cut) {
        if (is_continuation(static_cast<unsigned char>(token[cut]))) continue;
        const int32_t left = spec_.vocabulary.find(token.substr(0, cut));
        if (!mergeable(left)) continue;
        const int32_t right = spec_.vocabulary.find(token.substr(cut));
        if (mergeable(right)) spec_.merges.add(left, right, merge, true);
      }
    }
  }

  void read_template(bool add_bos_by_default) {
    const bool bos = file_.get_bool_or("tokenizer.ggml.add_bos_token",
                                       add_bos_by_default && file_.has("tokenizer.ggml.bos_token_id"));
    const bool eos = file_.get_bool_or("tokenizer.ggml.add_eos_token", false);
    spec_.post_processor = template_processing(bos ? id_of("bos_token_id") : -1, eos ? id_of("eos_token_id") : -1);
  }

  int64_t id_of(const std::string& key) const {
    const int64_t id = file_.get_int("tokenizer.ggml." + key);
    MOREX_CHECK(id >= 0 && id < spec_.vocabulary.size(), ErrorKind::kFormat,
                "[{}] tokenizer.ggml.{} must be an id below {}, got {}", spec_.where, key, spec_.vocabulary.size(), id);
    return id;
  }

  std::string token_named(const std::string& key) const {
    if (!file_.has("tokenizer.ggml." + key)) return "";
    return std::string(spec_.vocabulary.token(static_cast<int32_t>(id_of(key))));
  }

  const io::GgufFile& file_;
  TokenizerSpec spec_;
  std::vector<int64_t> types_;
};

}  // namespace

TokenizerSpec read_gguf_tokenizer(const io::GgufFile& file) { return Reader(file).read(); }

}  // namespace morex::text
