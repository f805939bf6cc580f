#include "text/decoders.h"

#include <utility>

#include "text/byte_alphabet.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

class Sequence : public Decoder {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Decoder>> steps) : steps_(std::move(steps)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

class ByteLevel : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += letters_to_bytes(token).value_or(token);
    tokens.assign(1, to_valid_utf8(std::move(bytes)));
  }
};

class Replace : public Decoder {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<ByteRange> matches;
    for (std::string& token : tokens) {
      matches.clear();
      pattern_.find_all(token, matches);
      for (auto match = matches.rbegin(); match != matches.rend(); ++match) {
        token.replace(match->begin, match->end - match->begin, content_);
      }
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// A run of byte tokens is a text if all of it is valid UTF-8, else one U+FFFD per byte.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    const auto flush = [&] {
      if (run.empty()) return;
      if (replace_invalid_utf8(run)) {
        for (size_t i = 0; i < run.size(); ++i) out.emplace_back("\uFFFD");
      } else {
        out.push_back(run);
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      const int byte = byte_of_token(token);
      if (byte >= 0) {
        run.push_back(static_cast<char>(byte));
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }
};

class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

// Takes up to `start` copies of a character from the front of every token.
class Strip : public Decoder {
 public:
  Strip(std::string content, int64_t start) : content_(std::move(content)), start_(start) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      size_t cut = 0;
      for (int64_t i = 0; i < start_ && token.compare(cut, content_.size(), content_) == 0; ++i) cut += content_.size();
      token.erase(0, cut);
    }
  }

 private:
  std::string content_;
  int64_t start_;
};

class Metaspace : public Decoder {
 public:
  Metaspace(std::string replacement, bool prepended) : replacement_(std::move(replacement)), prepended_(prepended) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const size_t spaces = i == 0 && prepended_ ? 0 : 1;
      std::string& token = tokens[i];
      for (size_t at = token.find(replacement_); at != std::string::npos; at = token.find(replacement_, at)) {
        token.replace(at, replacement_.size(), spaces, ' ');
      }
    }
  }

 private:
  std::string replacement_;
  bool prepended_;
};

class JoinWithSpaces : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  }
};

// Tokens that go on a word lose their prefix, all others are set off by a space; `cleanup` takes back spaces that no
// English text has.
class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_)) {
          token.erase(0, prefix_.size());
        } else {
          token.insert(0, 1, ' ');
        }
      }
      if (cleanup_) clean(token);
    }
  }

 private:
  static void clean(std::string& token) {
    static constexpr std::pair<std::string_view, std::string_view> kReplaced[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kReplaced)
      for (size_t at = token.find(from); at != std::string::npos; at = token.find(from, at + to.size()))
        token.replace(at, from.size(), to);
  }

  std::string prefix_;
  bool cleanup_;
};

std::unique_ptr<const Decoder> make_metaspace(const JsonReader& reader) {
  const auto scheme =
      reader.get_or<std::string>("prepend_scheme", reader.get_or<bool>("add_prefix_space", true) ? "always" : "never");
  return std::make_unique<Metaspace>(reader.get_or<std::string>("replacement", "▁"), scheme != "never");
}

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Json& spec, const std::string& where) {
  if (spec.is_null()) return std::make_unique<JoinWithSpaces>();
  const JsonReader reader(spec, where + ": decoder");
  const auto type = reader.get<std::string>("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Decoder>> steps;
    for (const Json& step : reader.raw("decoders")) steps.push_back(make_decoder(step, where));
    return std::make_unique<Sequence>(std::move(steps));
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "Replace") {
    return std::make_unique<Replace>(Pattern(reader.raw("pattern"), reader.where()),
                                     reader.get<std::string>("content"));
  }
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Metaspace") return make_metaspace(reader);
  if (type == "WordPiece") {
    return std::make_unique<WordPieceDecoder>(reader.get_or<std::string>("prefix", "##"),
                                              reader.get_or<bool>("cleanup", true));
  }
  if (type == "Strip") {
    const auto content = reader.get<std::string>("content");
    MOREX_CHECK(!content.empty() && reader.get_or<int64_t>("stop", 0) == 0, ErrorKind::kFormat,
                "[{}] Strip must name a character and have stop 0, got {}", reader.where(), spec.dump());
    return std::make_unique<Strip>(content, reader.get_or<int64_t>("start", 0));
  }
  fail(ErrorKind::kFormat, "[{}] decoder of type {} is not supported", where, type);
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = 16 * value + digit;
  }
  return value;
}

}  // namespace morex::text
