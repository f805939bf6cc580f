// The tree of a parsed template.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace morex::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

// What a call, filter or test was given.
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread_list, spread_dict;  // *a, **b; null when absent
};

struct Expression {
  enum class Kind {
    kConstant,     // value
    kName,         // text
    kTuple,        // parts
    kList,         // parts
    kDict,         // parts: key, value, key, value, …
    kAttribute,    // parts[0] . text
    kItem,         // parts[0] [ parts[1] ]
    kSlice,        // parts: begin, end, step; null where left out (only as the index of kItem)
    kCall,         // parts[0] ( arguments )
    kFilter,       // parts[0] (null in a filter block) | text ( arguments )
    kTest,         // parts[0] is text ( arguments )
    kConditional,  // parts[0] if parts[1] else parts[2] (may be null)
    kAnd,
    kOr,
    kNot,
    kNegative,
    kPositive,
    kBinary,   // parts[0] text parts[1]; text: + - * / // % **
    kConcat,   // parts joined by ~
    kCompare,  // parts[0] operators[0] parts[1] operators[1] parts[2] …
  };
  Kind kind;
  int line = 0;
  std::string text;
  Value value;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // null: none
};

struct Statement {
  enum class Kind {
    kText,        // text
    kOutput,      // expression
    kIf,          // expression, body, otherwise (an elif is an if in it)
    kFor,         // target in expression [if condition], body, otherwise; recursive
    kSet,         // target = expression
    kSetBlock,    // target = body, through the filter in expression (may be null)
    kMacro,       // text(parameters), body
    kCallBlock,   // expression (a call), parameters, body
    kFilter,      // expression (a filter), body
    kWith,        // targets = values, body
    kGeneration,  // body
    kBreak,
    kContinue,
    kInclude,  // expression
  };
  Kind kind;
  int line = 0;
  std::string text;
  ExpressionPtr target, expression, condition;
  std::vector<ExpressionPtr> targets, values;
  std::vector<Parameter> parameters;
  Block body, otherwise;
  bool recursive = false;
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;  // of a macro
};

struct Template {
  Block body;
};

}  // namespace morex::text::jinja
