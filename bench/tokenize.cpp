// morex_bench tokenize: a tokenizer on one thread.
//   tokenizer=FOLDER text=FILE [steps=3 turns=0]
// `loading`, `text` (the file as one), `paragraphs` (split at empty lines) and `decoding` are milliseconds of one
// repetition each; a fresh tokenizer every time, as one that has seen a text may answer from memory. `ids` is the
// SHA-256 of the ids of the text and of its paragraphs, as int64, `decoded` that of the text decoded again, `source`
// that of the file.
#include <algorithm>
#include <memory>
#include <span>

#include "arguments.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "modes.h"
#include "text/tokenizer.h"
#include "turns.h"

namespace morex::bench {
namespace {

std::vector<std::string> paragraphs_of(const std::string& text) {
  std::vector<std::string> paragraphs;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find("\n\n", start), text.size());
    if (end > start) paragraphs.push_back(text.substr(start, end - start));
    start = end + 2;
  }
  return paragraphs;
}

struct Work {
  std::string path, text;
  std::vector<std::string> paragraphs;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::vector<int64_t> text_ids, paragraph_ids;
  std::string decoded;

  void load() { tokenizer = text::Tokenizer::load(path); }
  void encode_text() { text_ids = tokenizer->encode(text, false); }
  void encode_paragraphs() {
    paragraph_ids.clear();
    for (const std::string& paragraph : paragraphs) {
      const std::vector<int64_t> ids = tokenizer->encode(paragraph, false);
      paragraph_ids.insert(paragraph_ids.end(), ids.begin(), ids.end());
    }
  }
  void decode() { decoded = tokenizer->decode(text_ids, false); }
};

}  // namespace

void tokenize_mode(const ModeArguments& given) {
  const Arguments arguments(given, {"tokenizer", "text", "steps", "turns"});
  Work work;
  work.path = arguments.text("tokenizer");
  work.text = read_text_file(arguments.text("text"), ErrorKind::kData);
  work.paragraphs = paragraphs_of(work.text);
  const auto turn = [&](int64_t repetitions) {
    std::vector<double> loading, whole, paragraphs, decoding;
    for (int64_t i = 0; i < repetitions; ++i) {
      loading.push_back(time_each(1, [&] { work.load(); }).ms[0]);
      whole.push_back(time_each(1, [&] { work.encode_text(); }).ms[0]);
      decoding.push_back(time_each(1, [&] { work.decode(); }).ms[0]);
      work.load();
      paragraphs.push_back(time_each(1, [&] { work.encode_paragraphs(); }).ms[0]);
    }
    return Json{{"loading", loading}, {"text", whole}, {"paragraphs", paragraphs}, {"decoding", decoding}};
  };
  turn(1);
  Sha256 ids, decoded, source;
  ids.update(std::as_bytes(std::span(work.text_ids)));
  ids.update(std::as_bytes(std::span(work.paragraph_ids)));
  decoded.update(std::as_bytes(std::span(work.decoded)));
  source.update(std::as_bytes(std::span(work.text)));
  const Json facts = {{"bytes", work.text.size()},      {"paragraphs_count", work.paragraphs.size()},
                      {"tokens", work.text_ids.size()}, {"ids", ids.hex()},
                      {"decoded", decoded.hex()},       {"source", source.hex()}};
  run_turns(facts, arguments.number("turns", 0) != 0, arguments.number("steps", 3), turn);
}

}  // namespace morex::bench
