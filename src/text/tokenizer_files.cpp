#include "text/tokenizer_files.h"

#include <array>

#include "base/files.h"
#include "io/gguf.h"
#include "text/gguf_tokenizer_files.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles = {"tokenizer.json",
                               "tokenizer_config.json",
                               "special_tokens_map.json",
                               "vocab.json",
                               "merges.txt",
                               "added_tokens.json",
                               "chat_template.jinja",
                               "tokenizer.model",
                               "generation_config.json"};

fs::path folder_of(const fs::path& source) { return fs::is_directory(source) ? source : source.parent_path(); }

}  // namespace

std::string why_no_tokenizer_files(const fs::path& source) {
  if (source.extension() == ".gguf") return why_not_writable(*io::GgufFile::open(source));
  const fs::path folder = folder_of(source);
  if (fs::is_regular_file(folder / "tokenizer.json") || fs::is_regular_file(folder / "vocab.json")) return "";
  return "'" + folder.string() + "' has neither tokenizer.json nor vocab.json";
}

void write_tokenizer_files(const fs::path& source, const fs::path& folder) {
  if (source.extension() == ".gguf") return write_gguf_tokenizer(*io::GgufFile::open(source), folder);
  const fs::path from = folder_of(source);
  for (const char* name : kFiles) {
    if (fs::is_regular_file(from / name)) write_text_file(folder / name, read_text_file(from / name));
  }
}

}  // namespace morex::text
