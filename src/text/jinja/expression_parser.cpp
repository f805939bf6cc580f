#include "text/jinja/expression_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "text/jinja/filters.h"

namespace morex::text::jinja {
namespace {

using Kind = Expression::Kind;
using TokenKind = Token::Kind;

constexpr int kMaxDepth = 200;  // of nested expressions: the parser and the evaluator call themselves

class Deeper {
 public:
  Deeper(int& depth, const TokenStream& tokens) : depth_(depth) {
    if (++depth_ > kMaxDepth) tokens.fail("expressions are nested too deeply");
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

}  // namespace

ExpressionPtr ExpressionParser::make(Kind kind) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = tokens_.line();
  return made;
}

ExpressionPtr ExpressionParser::make(Kind kind, ExpressionPtr first) const {
  ExpressionPtr made = make(kind);
  made->line = first != nullptr ? first->line : made->line;
  made->parts.push_back(std::move(first));
  return made;
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const Deeper deeper(depth_, tokens_);
  ExpressionPtr left = disjunction();
  while (with_conditional && tokens_.skip_name("if")) {
    left = make(Kind::kConditional, std::move(left));
    left->parts.push_back(disjunction());
    left->parts.push_back(tokens_.skip_name("else") ? expression() : nullptr);
  }
  return left;
}

ExpressionPtr ExpressionParser::disjunction() {
  ExpressionPtr left = conjunction();
  while (tokens_.skip_name("or")) {
    left = make(Kind::kOr, std::move(left));
    left->parts.push_back(conjunction());
  }
  return left;
}

ExpressionPtr ExpressionParser::conjunction() {
  ExpressionPtr left = negation();
  while (tokens_.skip_name("and")) {
    left = make(Kind::kAnd, std::move(left));
    left->parts.push_back(negation());
  }
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  const Deeper deeper(depth_, tokens_);
  if (!tokens_.skip_name("not")) return comparison();
  return make(Kind::kNot, negation());
}

ExpressionPtr ExpressionParser::comparison() {
  static constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", ">", ">=", "<", "<="};
  ExpressionPtr left = sum();
  bool chained = false;
  while (true) {
    std::string op;
    if (tokens_.at(TokenKind::kOperator) &&
        std::find(kOperators.begin(), kOperators.end(), tokens_.current().text) != kOperators.end()) {
      op = tokens_.next().text;
    } else if (tokens_.skip_name("in")) {
      op = "in";
    } else if (tokens_.at_name("not") && tokens_.look().kind == TokenKind::kName && tokens_.look().text == "in") {
      tokens_.next();
      tokens_.next();
      op = "not in";
    } else {
      return left;
    }
    if (!chained) left = make(Kind::kCompare, std::move(left));
    chained = true;
    left->operators.push_back(op);
    left->parts.push_back(sum());
  }
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (tokens_.at_operator("+") || tokens_.at_operator("-")) {
    left = make(Kind::kBinary, std::move(left));
    left->text = tokens_.next().text;
    left->parts.push_back(concatenation());
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr left = product();
  if (!tokens_.at_operator("~")) return left;
  left = make(Kind::kConcat, std::move(left));
  while (tokens_.skip_operator("~")) left->parts.push_back(product());
  return left;
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (tokens_.at_operator("*") || tokens_.at_operator("/") || tokens_.at_operator("//") ||
         tokens_.at_operator("%")) {
    left = make(Kind::kBinary, std::move(left));
    left->text = tokens_.next().text;
    left->parts.push_back(power());
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary();
  while (tokens_.skip_operator("**")) {
    left = make(Kind::kBinary, std::move(left));
    left->text = "**";
    left->parts.push_back(unary());
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Deeper deeper(depth_, tokens_);
  ExpressionPtr operand;
  if (tokens_.skip_operator("-")) {
    operand = make(Kind::kNegative, unary(false));
  } else if (tokens_.skip_operator("+")) {
    operand = make(Kind::kPositive, unary(false));
  } else {
    operand = primary();
  }
  operand = postfix(std::move(operand));
  return with_filters ? filters_and_tests(std::move(operand)) : std::move(operand);
}

ExpressionPtr ExpressionParser::primary() {
  ExpressionPtr made = make(Kind::kConstant);
  if (tokens_.at(TokenKind::kName)) {
    const std::string name = tokens_.next().text;
    if (name == "true" || name == "True") {
      made->value = true;
    } else if (name == "false" || name == "False") {
      made->value = false;
    } else if (name == "none" || name == "None") {
      made->value = None();
    } else {
      made->kind = Kind::kName;
      made->text = name;
      saw_varargs |= name == "varargs";
      saw_kwargs |= name == "kwargs";
      saw_caller |= name == "caller";
    }
    return made;
  }
  if (tokens_.at(TokenKind::kString)) {
    std::string text;
    while (tokens_.at(TokenKind::kString)) text += tokens_.next().text;
    made->value = text;
    return made;
  }
  if (tokens_.at(TokenKind::kInteger) || tokens_.at(TokenKind::kFloat)) return number();
  if (tokens_.skip_operator("(")) {
    made = tuple(true, "", true);
    tokens_.expect_operator(")");
    return made;
  }
  if (tokens_.at_operator("[")) return list();
  if (tokens_.at_operator("{")) return dict();
  tokens_.fail("unexpected '" + tokens_.describe() + "'");
}

ExpressionPtr ExpressionParser::number() {
  ExpressionPtr made = make(Kind::kConstant);
  const Token token = tokens_.next();
  if (token.kind == TokenKind::kFloat) {
    made->value = std::strtod(token.text.c_str(), nullptr);
    return made;
  }
  std::string_view digits = token.text;
  Integer base = 10;
  if (digits.size() > 2 && digits[0] == '0' && !(digits[1] >= '0' && digits[1] <= '9')) {
    base = (digits[1] | 32) == 'x' ? 16 : (digits[1] | 32) == 'o' ? 8 : 2;
    digits.remove_prefix(2);
  }
  if (digits.size() > 30) tokens_.fail("integers of more than 30 digits are not supported", kUnsupported);
  Integer value = 0;
  for (const char c : digits) value = base * value + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  made->value = value;
  return made;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view end_name, bool parentheses) {
  const Deeper deeper(depth_, tokens_);
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  const int line = tokens_.line();
  while (true) {
    if (!parts.empty()) tokens_.expect_operator(",");
    if (tokens_.at(TokenKind::kVariableEnd) || tokens_.at(TokenKind::kBlockEnd) || tokens_.at_operator(")") ||
        (!end_name.empty() && tokens_.at_name(end_name))) {
      break;
    }
    parts.push_back(expression(with_conditional));
    if (!tokens_.at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !parts.empty()) return std::move(parts[0]);
  if (!is_tuple && !parentheses) tokens_.fail("Expected an expression, got '" + tokens_.describe() + "'");
  ExpressionPtr made = make(Kind::kTuple);
  made->line = line;
  made->parts = std::move(parts);
  return made;
}

ExpressionPtr ExpressionParser::target(std::string_view end_name, bool attributes) {
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  while (!(is_tuple && !end_name.empty() && tokens_.at_name(end_name)) && !tokens_.at_operator("=")) {
    ExpressionPtr part;
    if (tokens_.skip_operator("(")) {
      part = target("", attributes);
      tokens_.expect_operator(")");
    } else {
      part = make(Kind::kName);
      part->text = tokens_.expect_name();
      static constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
      if (std::find(kConstants.begin(), kConstants.end(), part->text) != kConstants.end()) {
        tokens_.fail("can't assign to 'const'");
      }
      if (attributes && tokens_.skip_operator(".")) {
        part = make(Kind::kAttribute, std::move(part));
        part->text = tokens_.expect_name();
      }
    }
    parts.push_back(std::move(part));
    if (!tokens_.skip_operator(",")) break;
    is_tuple = true;
  }
  if (parts.empty()) tokens_.fail("Expected an expression, got '" + tokens_.describe() + "'");
  if (!is_tuple) return std::move(parts[0]);
  ExpressionPtr made = make(Kind::kTuple);
  made->parts = std::move(parts);
  return made;
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr made = make(Kind::kList);
  tokens_.expect_operator("[");
  while (!tokens_.at_operator("]")) {
    if (!made->parts.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("]")) break;
    made->parts.push_back(expression());
  }
  tokens_.expect_operator("]");
  return made;
}

ExpressionPtr ExpressionParser::dict() {
  ExpressionPtr made = make(Kind::kDict);
  tokens_.expect_operator("{");
  while (!tokens_.at_operator("}")) {
    if (!made->parts.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("}")) break;
    made->parts.push_back(expression());
    tokens_.expect_operator(":");
    made->parts.push_back(expression());
  }
  tokens_.expect_operator("}");
  return made;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr operand) {
  while (true) {
    if (tokens_.at_operator(".") || tokens_.at_operator("[")) {
      operand = subscript(std::move(operand));
    } else if (tokens_.at_operator("(")) {
      operand = call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr operand) {
  while (true) {
    if (tokens_.at_operator("|")) {
      operand = filter_chain(std::move(operand), false);
    } else if (tokens_.at_name("is")) {
      operand = test(std::move(operand));
    } else if (tokens_.at_operator("(")) {
      operand = call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr operand) {
  if (tokens_.skip_operator(".")) {
    if (tokens_.at(TokenKind::kName)) {
      ExpressionPtr made = make(Kind::kAttribute, std::move(operand));
      made->text = tokens_.next().text;
      return made;
    }
    if (!tokens_.at(TokenKind::kInteger)) tokens_.fail("expected name or number");
    ExpressionPtr made = make(Kind::kItem, std::move(operand));
    made->parts.push_back(number());
    return made;
  }
  ExpressionPtr made = make(Kind::kItem, std::move(operand));
  tokens_.expect_operator("[");
  std::vector<ExpressionPtr> indices;
  while (!tokens_.at_operator("]")) {
    if (!indices.empty()) tokens_.expect_operator(",");
    indices.push_back(subscribed());
  }
  tokens_.expect_operator("]");
  if (indices.size() == 1) {
    made->parts.push_back(std::move(indices[0]));
  } else {
    ExpressionPtr index = make(Kind::kTuple);
    index->parts = std::move(indices);
    made->parts.push_back(std::move(index));
  }
  return made;
}

ExpressionPtr ExpressionParser::subscribed() {
  ExpressionPtr made = make(Kind::kSlice);
  if (tokens_.skip_operator(":")) {
    made->parts.push_back(nullptr);
  } else {
    ExpressionPtr begin = expression();
    if (!tokens_.skip_operator(":")) return begin;
    made->parts.push_back(std::move(begin));
  }
  const auto absent = [&] { return tokens_.at_operator(":") || tokens_.at_operator("]") || tokens_.at_operator(","); };
  made->parts.push_back(absent() ? nullptr : expression());
  made->parts.push_back(tokens_.skip_operator(":") && !absent() ? expression() : nullptr);
  return made;
}

void ExpressionParser::call_arguments(CallArguments& arguments) {
  tokens_.expect_operator("(");
  const auto ensure = [&](bool condition) {
    if (!condition) tokens_.fail("invalid syntax for function call expression");
  };
  bool first = true;
  while (!tokens_.at_operator(")")) {
    if (!first) {
      tokens_.expect_operator(",");
      if (tokens_.at_operator(")")) break;
    }
    first = false;
    if (tokens_.skip_operator("*")) {
      ensure(arguments.spread_list == nullptr && arguments.spread_dict == nullptr);
      arguments.spread_list = expression();
    } else if (tokens_.skip_operator("**")) {
      ensure(arguments.spread_dict == nullptr);
      arguments.spread_dict = expression();
    } else if (tokens_.at(TokenKind::kName) && tokens_.look().kind == TokenKind::kOperator &&
               tokens_.look().text == "=") {
      ensure(arguments.spread_dict == nullptr);
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      ensure(arguments.spread_list == nullptr && arguments.spread_dict == nullptr && arguments.named.empty());
      arguments.positional.push_back(expression());
    }
  }
  tokens_.expect_operator(")");
}

ExpressionPtr ExpressionParser::call(ExpressionPtr operand) {
  ExpressionPtr made = make(Kind::kCall, std::move(operand));
  made->line = tokens_.line();
  call_arguments(made->arguments);
  return made;
}

std::string ExpressionParser::dotted_name() {
  std::string name = tokens_.expect_name();
  while (tokens_.skip_operator(".")) name += "." + tokens_.expect_name();
  return name;
}

ExpressionPtr ExpressionParser::filter_chain(ExpressionPtr operand, bool inline_start) {
  while (inline_start || tokens_.skip_operator("|")) {
    inline_start = false;
    ExpressionPtr made = make(Kind::kFilter, std::move(operand));
    made->line = tokens_.line();
    made->text = dotted_name();
    if (lenient == 0) require_filter(made->text, made->line);
    if (tokens_.at_operator("(")) call_arguments(made->arguments);
    operand = std::move(made);
  }
  return operand;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr operand) {
  tokens_.next();
  const bool negated = tokens_.skip_name("not");
  ExpressionPtr made = make(Kind::kTest, std::move(operand));
  made->line = tokens_.line();
  made->text = dotted_name();
  if (lenient == 0) require_test(made->text, made->line);
  const auto starts_argument = [&] {
    if (tokens_.at(TokenKind::kName))
      return !tokens_.at_name("else") && !tokens_.at_name("or") && !tokens_.at_name("and");
    return tokens_.at(TokenKind::kString) || tokens_.at(TokenKind::kInteger) || tokens_.at(TokenKind::kFloat) ||
           tokens_.at_operator("[") || tokens_.at_operator("{");
  };
  if (tokens_.at_operator("(")) {
    call_arguments(made->arguments);
  } else if (starts_argument()) {
    if (tokens_.at_name("is")) tokens_.fail("You cannot chain multiple tests with is");
    made->arguments.positional.push_back(postfix(primary()));
  }
  return negated ? make(Kind::kNot, std::move(made)) : std::move(made);
}

}  // namespace morex::text::jinja
