#include "unit/text/small_tokenizers.h"

#include <fmt/core.h>

#include <fstream>
#include <type_traits>

#include "text/byte_alphabet.h"

namespace morex::text::test {

Json byte_level_json(const std::vector<std::string>& merges) {
  Json vocabulary = Json::object();
  int64_t next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<char>(byte);
    vocabulary[bytes_to_letters({&value, 1})] = next++;
  }
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    const std::string token = merge.substr(0, space) + merge.substr(space + 1);
    if (!vocabulary.contains(token)) vocabulary[token] = next++;
  }
  const Json end = {{"id", next},      {"content", "<|end|>"}, {"single_word", false}, {"lstrip", false},
                    {"rstrip", false}, {"normalized", false},  {"special", true}};
  return {{"version", "1.0"},
          {"added_tokens", {end}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
}

Json sentence_piece_json(const std::vector<std::string>& pieces, const std::vector<std::string>& merges) {
  Json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  int64_t next = 3;
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = next++;
  for (const std::string& piece : pieces) vocabulary[piece] = next++;
  Json added = Json::array();
  for (const char* token : {"<unk>", "<s>", "</s>"}) {
    added.push_back({{"id", vocabulary[token]}, {"content", token}, {"normalized", false}, {"special", true}});
  }
  const Json space = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  const Json prefix = {{"type", "Prepend"}, {"prepend", "▁"}};
  const Json unspace = {{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}};
  const Json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  const Json bytes = {{"type", "ByteFallback"}}, fuse = {{"type", "Fuse"}};
  const Json first = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const Json text_a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             text_b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  return {{"added_tokens", added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", {prefix, space}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {first, text_a}},
            {"pair", {first, text_a, text_b}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}}}}}}},
          {"decoder", {{"type", "Sequence"}, {"decoders", {unspace, bytes, fuse, strip}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

void write_json(const std::filesystem::path& path, const Json& json) { std::ofstream(path) << json.dump(); }

namespace {

class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& path) : out_(path, std::ios::binary) {}
  template <typename T>
  void number(T value) {
    out_.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number<uint64_t>(value.size());
    out_ << value;
  }
  template <typename T>
  void array(uint32_t element_type, const std::vector<T>& values) {
    number<uint32_t>(9);
    number<uint32_t>(element_type);
    number<uint64_t>(values.size());
    for (const T& value : values) {
      if constexpr (std::is_same_v<T, std::string>) {
        text(value);
      } else {
        number(value);
      }
    }
  }
  void entry(const std::string& value) {
    number<uint32_t>(8);
    text(value);
  }
  void entry(uint32_t value) {
    number<uint32_t>(4);
    number(value);
  }
  void entry(bool value) {
    number<uint32_t>(7);
    number<uint8_t>(value ? 1 : 0);
  }
  void entry(const std::vector<std::string>& values) { array(8, values); }
  void entry(const std::vector<float>& values) { array(6, values); }
  void entry(const std::vector<int32_t>& values) { array(5, values); }

 private:
  std::ofstream out_;
};

}  // namespace

void write_gguf(const std::filesystem::path& path, const std::map<std::string, GgufEntry>& metadata) {
  GgufWriter writer(path);
  writer.number<uint32_t>(0x46554747);
  writer.number<uint32_t>(3);
  writer.number<uint64_t>(0);
  writer.number<uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) {
    writer.text(key);
    std::visit([&](const auto& v) { writer.entry(v); }, value);
  }
}

}  // namespace morex::text::test
