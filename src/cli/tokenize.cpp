// morex tokenize: text to ids and back.
#include <fmt/core.h>

#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "text/tokenizer.h"

namespace morex::cli {

namespace {

struct TokenizeOptions {
  std::string tokenizer, text, file;
  std::vector<int64_t> ids;
  bool special_tokens = false, count = false, json = false;
};

std::vector<std::string> pieces_of(const text::Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::vector<std::string> pieces;
  for (const int64_t id : ids) pieces.push_back(tokenizer.id_to_token(id));
  return pieces;
}

void print_encoding(const TokenizeOptions& options, const text::Tokenizer& tokenizer, const std::string& source) {
  const std::vector<int64_t> ids = tokenizer.encode(source, options.special_tokens);
  if (options.count) {
    fmt::print("{}\n", ids.size());
  } else if (options.json) {
    print_json({{"count", ids.size()}, {"ids", ids}, {"tokens", pieces_of(tokenizer, ids)}});
  } else {
    for (const int64_t id : ids) fmt::print("{:>8}  {}\n", id, tokenizer.id_to_token(id));
    fmt::print("{} tokens, {} bytes\n", ids.size(), source.size());
  }
}

void print_decoding(const TokenizeOptions& options, const text::Tokenizer& tokenizer) {
  for (const int64_t id : options.ids) {
    MOREX_CHECK(id >= 0 && id < tokenizer.vocab_size(), ErrorKind::kData, "an id must lie in 0 … {}, got {}",
                tokenizer.vocab_size() - 1, id);
  }
  const std::string decoded = tokenizer.decode(options.ids, false);
  if (options.json) {
    print_json({{"count", options.ids.size()}, {"text", decoded}, {"tokens", pieces_of(tokenizer, options.ids)}});
  } else {
    fmt::print("{}\n", decoded);
  }
}

void run(const TokenizeOptions& options) {
  const auto tokenizer = text::Tokenizer::load(options.tokenizer);
  if (!options.ids.empty()) {
    print_decoding(options, *tokenizer);
  } else {
    print_encoding(options, *tokenizer,
                   options.file.empty() ? options.text : read_text_file(options.file, ErrorKind::kData));
  }
}

}  // namespace

void add_tokenize(Command program, Globals& globals) {
  const auto options = std::make_shared<TokenizeOptions>();
  Command command = program.subcommand("tokenize", "Text to ids, or ids to text");
  command.option("--model", options->tokenizer, "Model folder, tokenizer.json or .gguf file").required();
  Command input = command.option_group("input");
  input.option("--text", options->text, "Text to encode");
  input.option("--file", options->file, "File to encode");
  input.option("--ids", options->ids, "Ids to decode: 1,2,3").delimiter(',');
  input.require_one_option();
  command.flag("--special-tokens", options->special_tokens, "Add the tokenizer's own prefix and suffix (BOS …)");
  command.flag("--count", options->count, "Print the number of tokens only");
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options] { run(*options); }; });
}

}  // namespace morex::cli
