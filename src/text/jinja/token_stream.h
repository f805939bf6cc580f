// A list of tokens with a place in it.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/value.h"

namespace morex::text::jinja {

class TokenStream {
 public:
  using Kind = Token::Kind;
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  Token next() {
    Token token = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at(Kind kind) const { return current().kind == kind; }
  bool at_name(std::string_view name) const { return at(Kind::kName) && current().text == name; }
  bool at_operator(std::string_view op) const { return at(Kind::kOperator) && current().text == op; }
  bool skip_name(std::string_view name) { return at_name(name) && (next(), true); }
  bool skip_operator(std::string_view op) { return at_operator(op) && (next(), true); }
  void expect_operator(std::string_view op) {
    if (!skip_operator(op)) fail("expected token '" + std::string(op) + "', got '" + describe() + "'");
  }
  std::string expect_name() {
    if (!at(Kind::kName)) fail("expected token 'name', got '" + describe() + "'");
    return next().text;
  }
  std::string describe() const {
    if (at(Kind::kEnd)) return "end of template";
    if (at(Kind::kBlockEnd)) return "end of statement block";
    if (at(Kind::kVariableEnd)) return "end of print statement";
    return current().text;
  }
  [[noreturn]] void fail(const std::string& message, std::string type = "TemplateSyntaxError") const {
    Problem problem(std::move(type), message);
    problem.line = line();
    throw problem;
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace morex::text::jinja
