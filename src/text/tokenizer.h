// Text to ids and back, exactly as the model's own tokenizer file says.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace morex::io {
class GgufFile;
}

namespace morex::text {

struct Encoding {
  std::vector<int64_t> ids;
  std::vector<int64_t> begin, end;  // of each id, in Unicode code points of the original text
};

struct PairEncoding {
  std::vector<int64_t> ids, type_ids, special_mask;
};

// The names of the special tokens as the model's files give them; empty when there is none.
struct SpecialTokens {
  std::string bos, eos, pad, unk;
};

class Tokenizer {
 public:
  // A folder (tokenizer.json, or vocab.json + merges.txt; tokenizer_config.json beside it), a tokenizer.json, or a
  // GGUF file. Throws Error(kFormat) naming file and part: anything not understood is refused, never guessed.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path);
  static std::shared_ptr<const Tokenizer> from_gguf(const io::GgufFile& file);
  virtual ~Tokenizer() = default;

  // ids of `text` (UTF-8; invalid bytes are replaced by U+FFFD as Python's reader would). With add_special_tokens the
  // post-processor's prefix and suffix (BOS …) are added. Special tokens inside the text are recognised.
  virtual std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const = 0;
  // The same with the special tokens, but of the text's own ids only as many, from its beginning, as make at most
  // `limit` in all. Throws Error(kConfig) when the special tokens alone are more.
  virtual std::vector<int64_t> encode_within(std::string_view text, int64_t limit) const = 0;
  virtual Encoding encode_with_offsets(std::string_view text) const = 0;
  virtual PairEncoding encode_pair(std::string_view a, std::string_view b) const = 0;
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const = 0;

  virtual std::optional<int64_t> token_to_id(std::string_view token) const = 0;
  virtual std::string id_to_token(int64_t id) const = 0;  // "" when there is none
  virtual bool is_special(int64_t id) const = 0;
  virtual int64_t vocab_size() const = 0;  // highest id + 1

  virtual const SpecialTokens& special_tokens() const = 0;
  std::optional<int64_t> bos_id() const;
  std::optional<int64_t> eos_id() const;
  std::optional<int64_t> pad_id() const;
  std::optional<int64_t> unk_id() const;
  // The Jinja source of the chat template, empty when the files hold none.
  virtual const std::string& chat_template() const = 0;
  // SHA-256 over what decides the ids (vocabulary, merges, rules): names the tokenizer in run.json.
  virtual const std::string& digest() const = 0;
};

// Text of a growing list of ids: returns only what can no longer change (no half characters).
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens = true);
  std::string push(int64_t id);
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_;
  std::vector<int64_t> ids_;
  size_t emitted_ = 0;
};

}  // namespace morex::text
