#include "text/pre_tokenizers.h"

#include <functional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/pattern.h"
#include "text/split.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

constexpr const char* kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Cuts at the matches of a pattern.
class Split : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Pieces& state) const override {
    std::vector<ByteRange> out, matches;
    for (const ByteRange& piece : state.pieces) {
      matches.clear();
      pattern_.find_all(state.piece(piece), matches);
      split(piece.end - piece.begin, matches, behavior_, invert_, piece.begin, out);
    }
    state.pieces = std::move(out);
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Cuts at the characters of a class; each of them is a match of its own.
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(std::function<bool(char32_t)> in_class, SplitBehavior behavior)
      : in_class_(std::move(in_class)), behavior_(behavior) {}
  void apply(Pieces& state) const override {
    std::vector<ByteRange> out, matches;
    for (const ByteRange& piece : state.pieces) {
      matches.clear();
      const std::string_view text = state.piece(piece);
      for (size_t at = 0; at < text.size();) {
        const CodePoint point = decode_code_point(text, at);
        const auto begin = static_cast<uint32_t>(at);
        if (in_class_(point.code)) matches.push_back({begin, begin + point.length});
        at += point.length;
      }
      split(static_cast<uint32_t>(text.size()), matches, behavior_, false, piece.begin, out);
    }
    state.pieces = std::move(out);
  }

 private:
  std::function<bool(char32_t)> in_class_;
  SplitBehavior behavior_;
};

// Rebuilds the text piece by piece: `write(i, piece, out)` appends what piece i becomes.
template <typename Write>
void rewrite(Pieces& state, Write write) {
  AlignedText out;
  out.text.reserve(state.text.size() + state.pieces.size());
  for (size_t i = 0; i < state.pieces.size(); ++i) {
    const auto begin = static_cast<uint32_t>(out.text.size());
    write(state.pieces[i], out);
    state.pieces[i] = {begin, static_cast<uint32_t>(out.text.size())};
  }
  state.adopt(std::move(out));
}

CharacterRange origin_at(const Pieces& state, uint32_t byte) {
  return state.origin == nullptr ? CharacterRange{} : state.origin[byte];
}

void copy(const Pieces& state, const ByteRange& piece, AlignedText& out) {
  out.text.append(state.piece(piece));
  if (state.origin != nullptr) {
    out.origin.insert(out.origin.end(), state.origin + piece.begin, state.origin + piece.end);
  }
}

// A space before every piece that does not begin with one.
class PrefixSpace : public PreTokenizer {
 public:
  void apply(Pieces& state) const override {
    rewrite(state, [&](const ByteRange& piece, AlignedText& out) {
      if (!state.piece(piece).starts_with(' ')) out.append(" ", origin_at(state, piece.begin), state.origin != nullptr);
      copy(state, piece, out);
    });
  }
};

// Spells every byte in GPT-2's alphabet, for stages that come after a ByteLevel stage.
class SpellBytes : public PreTokenizer {
 public:
  void apply(Pieces& state) const override {
    rewrite(state, [&](const ByteRange& piece, AlignedText& out) {
      for (uint32_t at = piece.begin; at < piece.end; ++at) {
        out.append(bytes_to_letters(state.text.substr(at, 1)), origin_at(state, at), state.origin != nullptr);
      }
    });
  }
};

enum class PrependScheme { kAlways, kFirst, kNever };

// Spaces become the replacement (▁), which may also be put in front.
class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme) : replacement_(std::move(replacement)), scheme_(scheme) {}
  void apply(Pieces& state) const override {
    const bool tracked = state.origin != nullptr;
    rewrite(state, [&](const ByteRange& piece, AlignedText& out) {
      const std::string_view text = state.piece(piece);
      const bool has_prefix = text.starts_with(' ') || text.starts_with(replacement_);
      const bool wanted =
          scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && state.at_start && piece.begin == 0);
      if (wanted && !has_prefix) out.append(replacement_, origin_at(state, piece.begin), tracked);
      for (uint32_t at = piece.begin; at < piece.end; ++at) {
        const std::string_view byte = state.text.substr(at, 1);
        out.append(byte == " " ? replacement_ : byte, origin_at(state, at), tracked);
      }
    });
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
};

class Builder {
 public:
  Builder(PreTokenizers& out, std::string where) : out_(out), where_(std::move(where)) {}

  // `last`: no stage comes after this one.
  void add(const Json& spec, bool last) {
    const JsonReader reader(spec, where_ + ": pre_tokenizer");
    const auto type = reader.get<std::string>("type");
    if (type == "Sequence") {
      const Json& stages = reader.raw("pretokenizers");
      for (size_t i = 0; i < stages.size(); ++i) add(stages[i], last && i + 1 == stages.size());
    } else if (type == "ByteLevel") {
      add_byte_level(reader, last);
    } else if (type == "Metaspace") {
      add_metaspace(reader);
    } else if (type == "Split") {
      stage<Split>(Pattern(reader.raw("pattern"), reader.where()),
                   split_behavior_from_name(reader.get<std::string>("behavior"), reader.where()),
                   reader.get_or<bool>("invert", false));
    } else if (type == "Digits") {
      stage<CharacterSplit>(is_number, reader.get_or<bool>("individual_digits", false) ? SplitBehavior::kIsolated
                                                                                       : SplitBehavior::kContiguous);
    } else if (type == "Punctuation") {
      stage<CharacterSplit>(
          is_punctuation, split_behavior_from_name(reader.get_or<std::string>("behavior", "Isolated"), reader.where()));
    } else if (type == "BertPreTokenizer") {
      stage<CharacterSplit>(is_white_space, SplitBehavior::kRemoved);
      stage<CharacterSplit>(is_punctuation, SplitBehavior::kIsolated);
    } else if (type == "WhitespaceSplit") {
      stage<CharacterSplit>(is_white_space, SplitBehavior::kRemoved);
    } else if (type == "Whitespace") {
      stage<Split>(Pattern(Regex(R"(\w+|[^\w\s]+)", reader.where())), SplitBehavior::kRemoved, true);
    } else if (type == "CharDelimiterSplit") {
      stage<Split>(Pattern(reader.get<std::string>("delimiter")), SplitBehavior::kRemoved, false);
    } else {
      fail(ErrorKind::kFormat, "[{}] pre_tokenizer of type {} is not supported", where_, type);
    }
  }

 private:
  template <typename T, typename... Args>
  void stage(Args&&... args) {
    out_.stages.push_back(std::make_unique<T>(std::forward<Args>(args)...));
  }

  void add_byte_level(const JsonReader& reader, bool last) {
    if (reader.get_or<bool>("add_prefix_space", true)) stage<PrefixSpace>();
    if (reader.get_or<bool>("use_regex", true)) {
      stage<Split>(Pattern(Regex(kGpt2Words, reader.where())), SplitBehavior::kIsolated, false);
    }
    if (last) {
      out_.byte_level = true;
    } else {
      stage<SpellBytes>();
    }
  }

  void add_metaspace(const JsonReader& reader) {
    const auto replacement = reader.get_or<std::string>("replacement", "▁");
    const auto legacy = reader.find<bool>("add_prefix_space");
    const auto name = reader.get_or<std::string>("prepend_scheme", legacy.value_or(true) ? "always" : "never");
    MOREX_CHECK(!legacy || *legacy == (name != "never"), ErrorKind::kFormat,
                "[{}] add_prefix_space {} contradicts prepend_scheme {}", reader.where(), *legacy, name);
    MOREX_CHECK(name == "always" || name == "first" || name == "never", ErrorKind::kFormat,
                "[{}] prepend_scheme must be always, first or never, got {}", reader.where(), name);
    stage<Metaspace>(replacement, name == "always"  ? PrependScheme::kAlways
                                  : name == "first" ? PrependScheme::kFirst
                                                    : PrependScheme::kNever);
    if (reader.get_or<bool>("split", true)) stage<Split>(Pattern(replacement), SplitBehavior::kMergedWithNext, false);
  }

  PreTokenizers& out_;
  std::string where_;
};

}  // namespace

PreTokenizers make_pre_tokenizers(const Json& spec, const std::string& where) {
  PreTokenizers out;
  if (!spec.is_null()) Builder(out, where).add(spec, true);
  return out;
}

}  // namespace morex::text
