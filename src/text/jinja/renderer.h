// The evaluator: walks the tree of a template.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/render.h"
#include "text/jinja/scope.h"

namespace morex::text::jinja {

class Renderer {
 public:
  explicit Renderer(const Dict& variables, const Dict& globals);
  ~Renderer();
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;

  Rendered run(const Template& parsed);

 private:
  using ScopePtr = std::shared_ptr<Scope>;
  enum class Flow { kOn, kBreak, kContinue };
  // What a macro or the body of a call block is made of.
  struct Callee {
    std::string name;
    const Statement* definition;
    ScopePtr scope;
    bool is_macro;
  };

  Flow run_block(const Block& block, const ScopePtr& scope);
  Flow run_statement(const Statement& statement, const ScopePtr& scope);
  Flow run_for(const Statement& statement, const Value& iterable, const ScopePtr& scope, int depth);
  void assign(const Expression& target, const Value& value, const ScopePtr& scope);
  // Runs a block with its output going to a text of its own.
  std::string capture(const Block& block, const ScopePtr& scope);
  Function make_callable(const Statement& definition, const ScopePtr& scope, bool is_macro);
  Value call(const Callee& callee, const Arguments& arguments);
  Value run_call_block(const Statement& statement, const ScopePtr& scope);
  void run_generation(const Statement& statement, const ScopePtr& scope);

  Value evaluate(const Expression& expression, const ScopePtr& scope);
  Value evaluate_compare(const Expression& expression, const ScopePtr& scope);
  Value evaluate_item(const Expression& expression, const ScopePtr& scope);
  // The filters of a filter or set block, over `operand`.
  Value apply_filters(const Expression& chain, const Value& operand, const ScopePtr& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope);

  ScopePtr root_;
  std::string* out_ = nullptr;
  Rendered result_;
  std::vector<ScopePtr> captured_;  // scopes that functions hold: emptied at the end, for they may hold those functions
  int depth_ = 0;
};

}  // namespace morex::text::jinja
