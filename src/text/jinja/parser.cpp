#include "text/jinja/parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/strings.h"
#include "text/jinja/expression_parser.h"

namespace morex::text::jinja {
namespace {

using Kind = Statement::Kind;
using TokenKind = Token::Kind;
using StatementPtr = std::unique_ptr<Statement>;

constexpr int kMaxDepth = 100;  // of nested blocks

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Template run() {
    Template out;
    out.body = statements({});
    return out;
  }

 private:
  // The tag names that end the block being parsed, and the tag that opened it: for messages.
  struct Opened {
    std::string name;
    std::vector<std::string> ends;
  };

  StatementPtr make(Kind kind) const {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->line = tokens_.line();
    return made;
  }

  // Statements up to a tag named in `ends`, which is left as the current token.
  Block statements(const std::vector<std::string>& ends) {
    Block out;
    while (!tokens_.at(TokenKind::kEnd)) {
      if (tokens_.at(TokenKind::kText)) {
        out.push_back(make(Kind::kText));
        out.back()->text = tokens_.next().text;
      } else if (tokens_.at(TokenKind::kVariableBegin)) {
        tokens_.next();
        StatementPtr made = make(Kind::kOutput);
        made->expression = expressions_.tuple();
        if (!tokens_.at(TokenKind::kVariableEnd)) {
          tokens_.fail("expected token 'end of print statement', got '" + tokens_.describe() + "'");
        }
        tokens_.next();
        out.push_back(std::move(made));
      } else {
        tokens_.next();  // {%
        if (tokens_.at(TokenKind::kName) && std::find(ends.begin(), ends.end(), tokens_.current().text) != ends.end()) {
          return out;
        }
        out.push_back(statement());
        end_tag();
      }
    }
    if (!ends.empty()) unexpected_end();
    return out;
  }

  // The body of the block tag `name`, whose tag is read up to its end; leaves the ending tag's name as current token.
  Block body(const std::string& name, std::vector<std::string> ends) {
    if (static_cast<int>(open_.size()) >= kMaxDepth) tokens_.fail("blocks are nested too deeply");
    end_tag();
    open_.push_back({name, ends});
    Block out = statements(ends);
    open_.pop_back();
    return out;
  }

  Block body_until(const std::string& name, const std::string& end) {
    Block out = body(name, {end});
    tokens_.next();
    return out;
  }

  void end_tag() {
    if (!tokens_.at(TokenKind::kBlockEnd)) {
      tokens_.fail("expected token 'end of statement block', got '" + tokens_.describe() + "'");
    }
    tokens_.next();
  }

  [[noreturn]] void unexpected_end() {
    std::vector<std::string> names;
    for (const std::string& end : open_.back().ends) names.push_back("'" + end + "'");
    tokens_.fail(
        fmt::format("Unexpected end of template. Jinja was looking for the following tags: {}. The innermost block "
                    "that needs to be closed is '{}'.",
                    join(names, " or "), open_.back().name));
  }

  StatementPtr statement() {
    if (!tokens_.at(TokenKind::kName)) tokens_.fail("tag name expected");
    const std::string name = tokens_.current().text;
    if (name == "if") return if_statement();
    if (name == "for") return for_statement();
    if (name == "set") return set_statement();
    if (name == "macro") return macro_statement();
    if (name == "call") return call_statement();
    if (name == "filter") return filter_statement();
    if (name == "with") return with_statement();
    if (name == "generation") return generation_statement();
    if (name == "print") return print_statement();
    if (name == "include") return include_statement();
    if (name == "break" || name == "continue") {
      StatementPtr made = make(name == "break" ? Kind::kBreak : Kind::kContinue);
      if (loops_ == 0) tokens_.fail(fmt::format("'{}' outside loop", name));
      tokens_.next();
      return made;
    }
    for (const char* known : {"import", "from", "extends", "block", "autoescape"}) {
      if (name == known) tokens_.fail(fmt::format("the tag '{}' is not supported", name), kUnsupported);
    }
    std::string message = fmt::format("Encountered unknown tag '{}'.", name);
    if (!open_.empty()) {
      std::vector<std::string> names;
      for (const std::string& end : open_.back().ends) names.push_back("'" + end + "'");
      message += fmt::format(
          " Jinja was looking for the following tags: {}. The innermost block that needs to be closed is '{}'.",
          join(names, " or "), open_.back().name);
    }
    tokens_.fail(message);
  }

  StatementPtr if_statement() {
    StatementPtr made = make(Kind::kIf);
    tokens_.next();
    made->expression = expressions_.tuple(false);
    ++expressions_.lenient;
    made->body = body("if", {"elif", "else", "endif"});
    if (tokens_.at_name("elif")) {
      made->otherwise.push_back(if_statement());
    } else if (tokens_.skip_name("else")) {
      made->otherwise = body_until("if", "endif");
    } else {
      tokens_.next();
    }
    --expressions_.lenient;
    return made;
  }

  StatementPtr for_statement() {
    StatementPtr made = make(Kind::kFor);
    tokens_.next();
    made->target = expressions_.target("in", false);
    if (!tokens_.skip_name("in")) tokens_.fail("expected token 'in', got '" + tokens_.describe() + "'");
    made->expression = expressions_.tuple(false, "recursive");
    if (tokens_.skip_name("if")) made->condition = expressions_.expression();
    made->recursive = tokens_.skip_name("recursive");
    ++loops_;
    made->body = body("for", {"endfor", "else"});
    --loops_;
    if (tokens_.next().text == "else") made->otherwise = body_until("for", "endfor");
    return made;
  }

  StatementPtr set_statement() {
    StatementPtr made = make(Kind::kSet);
    tokens_.next();
    made->target = expressions_.target("", true);
    if (tokens_.skip_operator("=")) {
      made->expression = expressions_.tuple();
      return made;
    }
    made->kind = Kind::kSetBlock;
    if (tokens_.at_operator("|")) made->expression = expressions_.filter_chain(nullptr, false);
    made->body = body_until("set", "endset");
    return made;
  }

  void signature(Statement& made) {
    tokens_.expect_operator("(");
    while (!tokens_.at_operator(")")) {
      if (!made.parameters.empty()) tokens_.expect_operator(",");
      Parameter parameter;
      parameter.name = tokens_.expect_name();
      if (tokens_.skip_operator("=")) {
        parameter.fallback = expressions_.expression();
      } else if (!made.parameters.empty() && made.parameters.back().fallback != nullptr) {
        tokens_.fail("non-default argument follows default argument");
      }
      made.parameters.push_back(std::move(parameter));
    }
    tokens_.expect_operator(")");
  }

  StatementPtr macro_statement() {
    StatementPtr made = make(Kind::kMacro);
    tokens_.next();
    made->text = tokens_.expect_name();
    signature(*made);
    const int loops = std::exchange(loops_, 0);
    ExpressionParser& e = expressions_;
    const bool outer[] = {std::exchange(e.saw_varargs, false), std::exchange(e.saw_kwargs, false),
                          std::exchange(e.saw_caller, false)};
    made->body = body_until("macro", "endmacro");
    made->takes_varargs = std::exchange(e.saw_varargs, outer[0]);
    made->takes_kwargs = std::exchange(e.saw_kwargs, outer[1]);
    made->takes_caller = std::exchange(e.saw_caller, outer[2]);
    loops_ = loops;
    return made;
  }

  StatementPtr call_statement() {
    StatementPtr made = make(Kind::kCallBlock);
    tokens_.next();
    if (tokens_.at_operator("(")) signature(*made);
    made->expression = expressions_.expression();
    if (made->expression->kind != Expression::Kind::kCall) tokens_.fail("expected call");
    const int loops = std::exchange(loops_, 0);
    made->body = body_until("call", "endcall");
    loops_ = loops;
    return made;
  }

  StatementPtr filter_statement() {
    StatementPtr made = make(Kind::kFilter);
    tokens_.next();
    made->expression = expressions_.filter_chain(nullptr, true);
    made->body = body_until("filter", "endfilter");
    return made;
  }

  StatementPtr with_statement() {
    StatementPtr made = make(Kind::kWith);
    tokens_.next();
    while (!tokens_.at(TokenKind::kBlockEnd)) {
      if (!made->targets.empty()) tokens_.expect_operator(",");
      auto target = std::make_unique<Expression>();
      target->kind = Expression::Kind::kName;
      target->line = tokens_.line();
      target->text = tokens_.expect_name();
      made->targets.push_back(std::move(target));
      tokens_.expect_operator("=");
      made->values.push_back(expressions_.expression());
    }
    made->body = body_until("with", "endwith");
    return made;
  }

  StatementPtr generation_statement() {
    StatementPtr made = make(Kind::kGeneration);
    tokens_.next();
    const int loops = std::exchange(loops_, 0);
    made->body = body_until("generation", "endgeneration");
    loops_ = loops;
    return made;
  }

  StatementPtr print_statement() {
    StatementPtr made = make(Kind::kOutput);
    tokens_.next();
    made->expression = expressions_.tuple();
    return made;
  }

  StatementPtr include_statement() {
    StatementPtr made = make(Kind::kInclude);
    tokens_.next();
    made->expression = expressions_.expression();
    return made;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  std::vector<Opened> open_;
  int loops_ = 0;
};

}  // namespace

Template parse(std::string_view source) { return Parser(source).run(); }

}  // namespace morex::text::jinja
