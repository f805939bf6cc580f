#include "text/jinja/renderer.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "text/jinja/filters.h"
#include "text/jinja/globals.h"
#include "text/jinja/loop.h"
#include "text/jinja/operators.h"

namespace morex::text::jinja {
namespace {

using Kind = Statement::Kind;

constexpr int kMaxDepth = 200;  // of calls of macros and loops inside one another

Undefined undefined_name(const std::string& name) {
  return {"UndefinedError", fmt::format("{} is undefined", repr(std::string_view(name)))};
}

// Counts how deep calls go; throws before the stack is used up.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) {
    if (depth_ >= kMaxDepth) throw Problem("RecursionError", "maximum recursion depth exceeded");
    ++depth_;
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

// Sends output elsewhere while it lives.
class Redirect {
 public:
  Redirect(std::string*& out, std::string& to) : out_(out), old_(out) { out = &to; }
  ~Redirect() { out_ = old_; }
  Redirect(const Redirect&) = delete;
  Redirect& operator=(const Redirect&) = delete;

 private:
  std::string*& out_;
  std::string* old_;
};

}  // namespace

Renderer::Renderer(const Dict& variables, const Dict& globals) : root_(std::make_shared<Scope>(nullptr)) {
  for (const auto& [name, value] : globals.entries) root_->set(name.string(), value);
  for (const auto& [name, value] : variables.entries) root_->set(name.string(), value);
}

Renderer::~Renderer() {
  for (const ScopePtr& scope : captured_) scope->clear();
}

Rendered Renderer::run(const Template& parsed) {
  out_ = &result_.text;
  run_block(parsed.body, root_);
  return std::move(result_);
}

Renderer::Flow Renderer::run_block(const Block& block, const ScopePtr& scope) {
  for (const auto& statement : block) {
    try {
      const Flow flow = run_statement(*statement, scope);
      if (flow != Flow::kOn) return flow;
    } catch (Problem& problem) {
      if (problem.line == 0) problem.line = statement->line;
      throw;
    }
  }
  return Flow::kOn;
}

std::string Renderer::capture(const Block& block, const ScopePtr& scope) {
  std::string text;
  const Redirect redirect(out_, text);
  run_block(block, scope);
  return text;
}

Renderer::Flow Renderer::run_statement(const Statement& statement, const ScopePtr& scope) {
  switch (statement.kind) {
    case Kind::kText:
      *out_ += statement.text;
      break;
    case Kind::kOutput: {
      const Value value = evaluate(*statement.expression, scope);
      if (value.is_undefined() && value.undefined().type != "UndefinedError" &&
          value.undefined().type != "SecurityError") {
        require_defined(value);
      }
      *out_ += to_text(value);
      break;
    }
    case Kind::kIf:
      return run_block(truth(evaluate(*statement.expression, scope)) ? statement.body : statement.otherwise, scope);
    case Kind::kFor:
      return run_for(statement, evaluate(*statement.expression, scope), scope, 1);
    case Kind::kSet:
      assign(*statement.target, evaluate(*statement.expression, scope), scope);
      break;
    case Kind::kSetBlock: {
      Value value = capture(statement.body, std::make_shared<Scope>(scope));
      if (statement.expression != nullptr) value = apply_filters(*statement.expression, value, scope);
      assign(*statement.target, value, scope);
      break;
    }
    case Kind::kMacro:
      scope->set(statement.text, make_callable(statement, scope, true));
      break;
    case Kind::kCallBlock:
      *out_ += to_text(run_call_block(statement, scope));
      break;
    case Kind::kFilter:
      *out_ +=
          to_text(apply_filters(*statement.expression, capture(statement.body, std::make_shared<Scope>(scope)), scope));
      break;
    case Kind::kWith: {
      const auto inner = std::make_shared<Scope>(scope);
      for (size_t i = 0; i < statement.targets.size(); ++i) {
        assign(*statement.targets[i], evaluate(*statement.values[i], scope), inner);
      }
      return run_block(statement.body, inner);
    }
    case Kind::kGeneration:
      run_generation(statement, scope);
      break;
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
    case Kind::kInclude:
      throw Problem("TypeError", "no loader for this environment specified");
  }
  return Flow::kOn;
}

// The place of the block is counted from the start of the whole output, as the reference does it, also where the
// block's text is captured on the way.
void Renderer::run_generation(const Statement& statement, const ScopePtr& scope) {
  const size_t begin = result_.text.size();
  const std::string text = capture(statement.body, std::make_shared<Scope>(scope));
  result_.generation_spans.emplace_back(begin, begin + text.size());
  *out_ += text;
}

Renderer::Flow Renderer::run_for(const Statement& statement, const Value& iterable, const ScopePtr& scope, int depth) {
  const Deeper deeper(depth_);
  List items = iterate(iterable);
  if (statement.condition != nullptr) {
    List kept;
    for (const Value& item : items) {
      const auto inner = std::make_shared<Scope>(scope);
      assign(*statement.target, item, inner);
      if (truth(evaluate(*statement.condition, inner))) kept.push_back(item);
    }
    items = std::move(kept);
  }
  if (items.empty()) return run_block(statement.otherwise, std::make_shared<Scope>(scope));
  Loop loop(items, depth);
  if (statement.recursive) {
    loop.object()->call = [this, &statement, scope, depth](const Arguments& arguments) -> Value {
      if (arguments.positional.size() != 1) throw Problem("TypeError", "loop() takes one argument");
      std::string text;
      const Redirect redirect(out_, text);
      run_for(statement, arguments.positional[0], scope, depth + 1);
      return text;
    };
  }
  for (size_t i = 0; i < items.size(); ++i) {
    loop.move_to(i);
    const auto inner = std::make_shared<Scope>(scope);
    assign(*statement.target, items[i], inner);
    inner->set("loop", loop.object());
    if (run_block(statement.body, inner) == Flow::kBreak) break;
  }
  return Flow::kOn;
}

void Renderer::assign(const Expression& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == Expression::Kind::kName) {
    scope->set(target.text, value);
  } else if (target.kind == Expression::Kind::kAttribute) {
    const Value object = evaluate(*target.parts[0], scope);
    if (!object.is_object() || object.object()->type != "Namespace") {
      throw Problem("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
    }
    object.object()->set(target.text, value);
  } else {
    const List items = iterate(value);
    if (items.size() != target.parts.size()) {
      throw Problem("ValueError", items.size() > target.parts.size()
                                      ? fmt::format("too many values to unpack (expected {})", target.parts.size())
                                      : fmt::format("not enough values to unpack (expected {}, got {})",
                                                    target.parts.size(), items.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) assign(*target.parts[i], items[i], scope);
  }
}

Function Renderer::make_callable(const Statement& definition, const ScopePtr& scope, bool is_macro) {
  captured_.push_back(scope);
  const Callee callee = {is_macro ? definition.text : "caller", &definition, scope, is_macro};
  return {callee.name, [this, callee](const Arguments& arguments) { return call(callee, arguments); }};
}

Value Renderer::call(const Callee& callee, const Arguments& arguments) {
  const Deeper deeper(depth_);
  const Statement& definition = *callee.definition;
  const auto inner = std::make_shared<Scope>(callee.scope);
  const size_t count = definition.parameters.size();
  std::vector<std::string> used;
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = definition.parameters[i];
    const Value* value = arguments.get(i, parameter.name);
    if (value != nullptr) {
      inner->set(parameter.name, *value);
    } else if (parameter.fallback != nullptr) {
      inner->set(parameter.name, evaluate(*parameter.fallback, inner));
    } else {
      inner->set(parameter.name, Undefined{"UndefinedError", fmt::format("parameter {} was not provided",
                                                                         repr(std::string_view(parameter.name)))});
    }
  }
  Tuple rest;
  if (arguments.positional.size() > count) {
    if (!definition.takes_varargs) {
      throw Problem("TypeError", fmt::format("macro {} takes not more than {} argument(s)",
                                             repr(std::string_view(callee.name)), count));
    }
    rest.items.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(count), arguments.positional.end());
  }
  Dict named;
  for (const auto& [name, value] : arguments.named) {
    const bool is_parameter =
        std::any_of(definition.parameters.begin(), definition.parameters.end(),
                    [&, &key = name](const Parameter& parameter) { return parameter.name == key; });
    if (is_parameter) continue;
    if (name == "caller" && definition.takes_caller) {
      inner->set("caller", value);
    } else if (definition.takes_kwargs) {
      named.set(name, value);
    } else {
      throw Problem("TypeError", fmt::format("macro {} takes no keyword argument {}",
                                             repr(std::string_view(callee.name)), repr(std::string_view(name))));
    }
  }
  if (definition.takes_varargs) inner->set("varargs", std::move(rest));
  if (definition.takes_kwargs) inner->set("kwargs", std::move(named));
  if (definition.takes_caller && arguments.find("caller") == nullptr) {
    inner->set("caller", Undefined{"UndefinedError", "No caller defined"});
  }
  return capture(definition.body, inner);
}

Value Renderer::run_call_block(const Statement& statement, const ScopePtr& scope) {
  Arguments arguments = evaluate_arguments(statement.expression->arguments, scope);
  arguments.named.emplace_back("caller", make_callable(statement, scope, false));
  return call_value(evaluate(*statement.expression->parts[0], scope), arguments);
}

Arguments Renderer::evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope) {
  Arguments out;
  for (const ExpressionPtr& part : arguments.positional) out.positional.push_back(evaluate(*part, scope));
  if (arguments.spread_list != nullptr) {
    for (Value& item : iterate(evaluate(*arguments.spread_list, scope))) out.positional.push_back(std::move(item));
  }
  for (const auto& [name, part] : arguments.named) out.named.emplace_back(name, evaluate(*part, scope));
  if (arguments.spread_dict != nullptr) {
    const Value dict = evaluate(*arguments.spread_dict, scope);
    if (!dict.is_dict()) throw Problem("TypeError", "argument after ** must be a mapping");
    for (const auto& [name, value] : dict.dict().entries) out.named.emplace_back(to_text(name), value);
  }
  return out;
}

Value Renderer::evaluate(const Expression& expression, const ScopePtr& scope) {
  using E = Expression::Kind;
  const auto part = [&](size_t i) { return evaluate(*expression.parts[i], scope); };
  switch (expression.kind) {
    case E::kConstant:
      return expression.value;
    case E::kName: {
      const Value* found = scope->find(expression.text);
      return found != nullptr ? *found : Value(undefined_name(expression.text));
    }
    case E::kTuple:
    case E::kList: {
      List items;
      for (size_t i = 0; i < expression.parts.size(); ++i) items.push_back(part(i));
      return expression.kind == E::kList ? Value(std::move(items)) : Value(Tuple{std::move(items)});
    }
    case E::kDict: {
      Dict dict;
      for (size_t i = 0; i < expression.parts.size(); i += 2) {
        Value key = part(i);
        if (key.is_list() || key.is_dict())
          throw Problem("TypeError", fmt::format("unhashable type: '{}'", type_name(key)));
        dict.set(std::move(key), part(i + 1));
      }
      return dict;
    }
    case E::kAttribute:
      return get_attribute(part(0), expression.text);
    case E::kItem:
      return evaluate_item(expression, scope);
    case E::kCall:
      return call_value(part(0), evaluate_arguments(expression.arguments, scope));
    case E::kFilter:
      return apply_filter(expression.text, part(0), evaluate_arguments(expression.arguments, scope));
    case E::kTest:
      return apply_test(expression.text, part(0), evaluate_arguments(expression.arguments, scope));
    case E::kConditional:
      if (truth(part(1))) return part(0);
      if (expression.parts[2] != nullptr) return part(2);
      return Undefined{"UndefinedError",
                       fmt::format("the inline if-expression on line {} evaluated to false and no else "
                                   "section was defined.",
                                   expression.line)};
    case E::kAnd: {
      Value left = part(0);
      return truth(left) ? part(1) : left;
    }
    case E::kOr: {
      Value left = part(0);
      return truth(left) ? left : part(1);
    }
    case E::kNot:
      return !truth(part(0));
    case E::kNegative:
      return negative(part(0));
    case E::kPositive:
      return binary("*", part(0), 1);
    case E::kBinary: {
      const Value left = part(0);
      return binary(expression.text, left, part(1));
    }
    case E::kConcat: {
      std::string text;
      for (size_t i = 0; i < expression.parts.size(); ++i) text += to_text(part(i));
      return text;
    }
    case E::kCompare:
      return evaluate_compare(expression, scope);
    case E::kSlice:
      break;
  }
  throw Problem(kUnsupported, "a slice inside a tuple of indices is not supported");
}

Value Renderer::evaluate_item(const Expression& expression, const ScopePtr& scope) {
  const Value container = evaluate(*expression.parts[0], scope);
  const Expression& index = *expression.parts[1];
  if (index.kind != Expression::Kind::kSlice) return get_item(container, evaluate(index, scope));
  const auto bound = [&](size_t i) {
    return index.parts[i] != nullptr ? evaluate(*index.parts[i], scope) : Value(None());
  };
  const Value begin = bound(0), end = bound(1);
  return slice(container, begin, end, bound(2));
}

Value Renderer::evaluate_compare(const Expression& expression, const ScopePtr& scope) {
  Value left = evaluate(*expression.parts[0], scope);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    const std::string& op = expression.operators[i];
    Value right = evaluate(*expression.parts[i + 1], scope);
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(right, left) == (op == "in");
    } else {
      const int order = compare(left, right, op.c_str());
      holds = op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0;
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Renderer::apply_filters(const Expression& chain, const Value& operand, const ScopePtr& scope) {
  const Value input = chain.parts[0] == nullptr ? operand : apply_filters(*chain.parts[0], operand, scope);
  return apply_filter(chain.text, input, evaluate_arguments(chain.arguments, scope));
}

Rendered render(const Template& parsed, const Dict& variables, const std::tm& now) {
  return Renderer(variables, make_globals(now)).run(parsed);
}

}  // namespace morex::text::jinja
