// Cuts a template into text and the tokens of its tags. White space around tags is settled here: trim_blocks,
// lstrip_blocks, and the signs - and +.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace morex::text::jinja {

struct Token {
  enum class Kind {
    kText,
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text;  // of a string: its value; of a number: without underscores
  int line = 1;
};

// Throws Problem (TemplateSyntaxError) with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace morex::text::jinja
