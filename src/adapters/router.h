// Second axis: who picks the experts. A router turns tokens into gates of the shape its structure declares.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/gates.h"
#include "adapters/prior.h"
#include "adapters/router/flat_choice.h"
#include "adapters/site.h"
#include "base/json.h"
#include "base/warnings.h"
#include "nn/task_table.h"

namespace morex::adapters {

class Router {
 public:
  virtual ~Router() = default;

  virtual int64_t rows() const = 0;  // Q: router rows on the site's input
  virtual const std::vector<TensorSpec>& tensors() const = 0;
  virtual bool dense() const = 0;  // fills every gate

  // u [T, Q] in float32 (float64 in float64), the router rows' product without bias -> gates of the shape given to
  // make(). `own` as in Structure::mix. Sums for the losses go to rows.recorder, level by level, and what it chose from
  // to record_distribution(). Deterministic: runs again in the backward pass and must choose the same.
  virtual Gates route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
                      const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const = 0;
  virtual bool whole_sequences() const { return false; }          // rows of one sequence depend on each other
  virtual bool sums_to_one() const { return true; }               // the gates of every token (of every parent)
  virtual double jitter() const { return 0.0; }                   // of the input of its rows, in training
  virtual const nn::TaskTable* tasks() const { return nullptr; }  // of a router that goes by the task
  virtual double flops() const = 0;                               // per token, forward, multiply-add = 2
  virtual int64_t active_parameters() const { return 0; }  // that one token uses, where a method counts its router's
};

struct MakeRouter {
  const Json& options;  // the recipe's `router`, kind included
  const GateShape& shape;
  const Site& site;
  Warnings& warnings;
};

// One line per router: router/table.h.
struct RouterKind {
  std::string_view name;
  bool (*gives)(GateKind kind);                             // which shapes it can fill
  bool (*fills_all)(const Json& options);                   // dense gates, known before the shape is
  std::unique_ptr<Router> (*make)(const MakeRouter& from);  // throws Error(kConfig)
  // Flat routers: their choice, for mixtures and pairs, and how many experts each token gets (0: all, or the token
  // decides).
  std::unique_ptr<FlatChoice> (*choice)(const MakeChoice& from) = nullptr;
  int64_t (*picks)(const Json& options) = nullptr;
  bool by_task = false;  // needs every sequence's task
};
const RouterKind& find_router(const std::string& name, const std::string& where);
std::string routers_giving(GateKind kind);  // their names, for messages

}  // namespace morex::adapters
