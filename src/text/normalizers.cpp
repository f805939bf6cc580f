#include "text/normalizers.h"

#include <utility>
#include <vector>

#include "text/bert_normalizer.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Normalizer>> steps) : steps_(std::move(steps)) {}
  bool may_change(std::string_view text) const override {
    for (const auto& step : steps_) {
      if (step->may_change(text)) return true;
    }
    return false;
  }
  AlignedText apply(AlignedText text, bool tracked) const override {
    for (const auto& step : steps_) {
      if (step->may_change(text.text)) text = step->apply(std::move(text), tracked);
    }
    return text;
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

// A prefix for every text that is not empty; it counts as part of the first character.
class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  AlignedText apply(AlignedText text, bool tracked) const override {
    if (text.text.empty()) return text;
    text.text.insert(0, prefix_);
    if (tracked) text.origin.insert(text.origin.begin(), prefix_.size(), CharacterRange(text.origin.front()));
    return text;
  }

 private:
  std::string prefix_;
};

// What is put in counts as the last character of what it replaces.
class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  AlignedText apply(AlignedText text, bool tracked) const override {
    std::vector<ByteRange> matches;
    pattern_.find_all(text.text, matches);
    if (matches.empty()) return text;
    AlignedText out;
    out.text.reserve(text.text.size() + matches.size() * content_.size());
    uint32_t copied = 0;
    const auto copy_until = [&](uint32_t end) {
      out.text.append(text.text, copied, end - copied);
      if (tracked) out.origin.insert(out.origin.end(), text.origin.begin() + copied, text.origin.begin() + end);
    };
    for (const ByteRange& match : matches) {
      copy_until(match.begin);
      out.append(content_, tracked ? text.origin[match.end - 1] : CharacterRange{}, tracked);
      copied = match.end;
    }
    copy_until(static_cast<uint32_t>(text.text.size()));
    return out;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  bool may_change(std::string_view text) const override { return !is_surely_normal(text, form_); }
  AlignedText apply(AlignedText text, bool tracked) const override {
    AlignedText out;
    out.text.reserve(text.text.size());
    size_t read = 0;  // bytes of the old text used up
    size_t last = 0;  // start of the last character used up
    const auto skip = [&] {
      last = read;
      read += utf8_length(static_cast<unsigned char>(text.text[read]));
    };
    std::string character;
    for (const NormalizedCharacter& next : normalize(to_utf32(text.text), form_)) {
      character.clear();
      append_utf8(character, next.code);
      if (next.change <= 0) {
        const size_t start = read;
        for (int32_t i = next.change; i <= 0; ++i) skip();
        out.append(character, tracked ? text.origin[start] : CharacterRange{}, tracked);
      } else {
        out.append(character, tracked ? text.origin[last] : CharacterRange{}, tracked);
      }
    }
    return out;
  }

 private:
  NormalForm form_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const Json& spec, const std::string& where) {
  if (spec.is_null()) return nullptr;
  const JsonReader reader(spec, where + ": normalizer");
  const auto type = reader.get<std::string>("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Normalizer>> steps;
    for (const Json& step : reader.raw("normalizers")) steps.push_back(make_normalizer(step, where));
    return std::make_unique<Sequence>(std::move(steps));
  }
  if (type == "BertNormalizer") return std::make_unique<Sequence>(bert_normalizer_steps(reader));
  if (type == "Prepend") return std::make_unique<Prepend>(reader.get<std::string>("prepend"));
  if (type == "Replace") {
    return std::make_unique<Replace>(Pattern(reader.raw("pattern"), reader.where()),
                                     reader.get<std::string>("content"));
  }
  if (type == "NFC") return std::make_unique<UnicodeForm>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<UnicodeForm>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(NormalForm::kNfkd);
  fail(ErrorKind::kFormat, "[{}] normalizer of type {} is not supported", where, type);
}

std::string normalized(const Normalizer* normalizer, const std::string& text) {
  return normalizer == nullptr ? text : normalizer->apply(AlignedText{text, {}}, false).text;
}

}  // namespace morex::text
