// Parses expressions, with Jinja's precedence: if-else, or, and, not, comparisons, + -, ~, * / // %, **, signs,
// then attributes, items, calls, filters and tests.
#pragma once
#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

namespace morex::text::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr expression(bool with_conditional = true);
  // An expression, or several with commas between them; `end_name` ends it where one is expected.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view end_name = "", bool parentheses = false);
  // What can be assigned to: a name, a tuple of names, an attribute of a name if `attributes`.
  ExpressionPtr target(std::string_view end_name, bool attributes);
  // The chain of filters of a filter block: without the first |.
  ExpressionPtr filter_chain(ExpressionPtr operand, bool inline_start);
  // Inside parts that may never run, unknown filters and tests are errors only when they do run.
  int lenient = 0;
  // Which of a macro's special names were read since they were last set to false.
  bool saw_varargs = false, saw_kwargs = false, saw_caller = false;

 private:
  ExpressionPtr make(Expression::Kind kind) const;
  ExpressionPtr make(Expression::Kind kind, ExpressionPtr first) const;
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters = true);
  ExpressionPtr primary();
  ExpressionPtr number();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr operand);
  ExpressionPtr filters_and_tests(ExpressionPtr operand);
  ExpressionPtr subscript(ExpressionPtr operand);
  ExpressionPtr subscribed();
  ExpressionPtr call(ExpressionPtr operand);
  ExpressionPtr test(ExpressionPtr operand);
  void call_arguments(CallArguments& arguments);
  std::string dotted_name();

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace morex::text::jinja
