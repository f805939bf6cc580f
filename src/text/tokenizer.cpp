#include "text/tokenizer.h"

#include "base/error.h"
#include "io/gguf.h"
#include "text/gguf_tokenizer.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/vocab_merges.h"

namespace morex::text {

namespace fs = std::filesystem;

std::shared_ptr<const Tokenizer> Tokenizer::load(const fs::path& path) {
  const bool is_folder = fs::is_directory(path);
  if (!is_folder && path.extension() == ".gguf") return from_gguf(*io::GgufFile::open(path));
  const fs::path json = is_folder ? path / "tokenizer.json" : path;
  if (fs::exists(json)) {
    TokenizerSpec spec = read_tokenizer_json(json);
    read_tokenizer_config(json.parent_path(), spec);
    return make_tokenizer(std::move(spec));
  }
  if (is_folder && fs::exists(path / "vocab.json") && fs::exists(path / "merges.txt")) {
    return make_tokenizer(read_vocab_and_merges(path));
  }
  fail(ErrorKind::kFormat, "[{}] no tokenizer: expected tokenizer.json, vocab.json with merges.txt, or a .gguf file",
       path.string());
}

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(const io::GgufFile& file) {
  return make_tokenizer(read_gguf_tokenizer(file));
}

std::optional<int64_t> Tokenizer::bos_id() const { return token_to_id(special_tokens().bos); }
std::optional<int64_t> Tokenizer::eos_id() const { return token_to_id(special_tokens().eos); }
std::optional<int64_t> Tokenizer::pad_id() const { return token_to_id(special_tokens().pad); }
std::optional<int64_t> Tokenizer::unk_id() const { return token_to_id(special_tokens().unk); }

}  // namespace morex::text
