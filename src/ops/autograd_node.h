// An operation with a backward pass of our own as one node of the autograd graph. Torch's header for that costs every
// file that sees it ten seconds; only autograd_node.cpp includes it.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ops/factors.h"
#include "ops/time_recorder.h"

namespace torch::autograd {
struct Node;
}

namespace morex::ops {

using Tensors = std::vector<at::Tensor>;

// Products that are parts of one output's gradient, and not formed yet.
class OwedProducts {
 public:
  void add(Factors product) { products_.push_back(std::move(product)); }
  std::vector<Factors> take() { return std::exchange(products_, {}); }

 private:
  std::vector<Factors> products_;
};

// What a backward pass is given.
class BackwardPass {
 public:
  BackwardPass(Tensors saved_tensors, Tensors output_grads, std::vector<Factors> owed_products,
               const torch::autograd::Node& node)
      : saved(std::move(saved_tensors)), grads(std::move(output_grads)), owed(std::move(owed_products)), node_(node) {}

  Tensors saved;              // as given to record(), refused when changed in place since
  Tensors grads;              // of each output; where nothing reached it zeros, or undefined after keep_missing()
  std::vector<Factors> owed;  // besides, to the output of takes_products()

  bool wants(size_t input) const;  // whether the gradient of this input is asked for

 private:
  const torch::autograd::Node& node_;
};

// Gives one gradient per input, undefined where there is none. What it captures is const: it may run more than once.
using BackwardFunction = std::function<Tensors(const BackwardPass&)>;

// What a backward pass changes: the gradients of the node's inputs, or also those of leaves that its inputs do not lead
// to (a computation that runs again, with all that it uses).
enum class Reach { kInputs, kLeaves };

// Forms an output of a node again from what the node saved, to the bit.
using RemakeFunction = std::function<at::Tensor(const Tensors& saved)>;

// Whether results of a row loop like this one should be formed again: in bfloat16 they take half of the memory, and
// twice the share of a step's time.
inline bool worth_remaking(const at::Tensor& result) { return result.element_size() > 2; }

// Makes one node: constructed before the forward computation, which then runs unrecorded until record() takes its
// result. When nothing can be differentiated (no_grad; no input that requires it, unless the node reaches leaves),
// record() gives its outputs back.
class AutogradNode {
 public:
  // name: in messages and profiles, a literal. inputs: all that may get a gradient; undefined ones stand for absent
  // inputs.
  AutogradNode(const char* name, at::TensorList inputs) : AutogradNode(name, inputs, Reach::kInputs) {}
  AutogradNode(const char* name, at::TensorList inputs, Reach reach);

  // Whether record() will make a node: else nothing need be saved.
  bool records() const { return recording_; }

  // Whether the gradient of this input will be wanted: what backward needs for it alone must be saved only then.
  bool wants(size_t input) const;

  // Declares that the forward computation changes this input in place; it must be an output, too.
  void changes(const at::Tensor& input);

  // Gradients of outputs that nothing reached stay undefined in the backward pass.
  void keep_missing() { keeps_missing_ = true; }

  // Nodes that save this output keep this node in its place, and form the output again when they need it: for what
  // costs little next to the memory it would take. What `remake` captures is const.
  void remakes(size_t output, RemakeFunction remake) { remakes_.push_back({output, std::move(remake)}); }

  // Tells that this output is that input: where another node can form the input again, the output, too.
  void passes(size_t input, size_t output);

  // This output's gradient may come as products, which the backward pass sums up with its own: in one pass, without
  // rounding in between.
  void takes_products(size_t output) { owed_output_ = static_cast<int64_t>(output); }

  // Records the outputs as results of the inputs. saved: inputs, outputs or other tensors (undefined: stay so), freed
  // with the graph. Outputs of integral types get no gradient. Differentiating twice throws Error(kRun).
  at::Tensor record(at::Tensor output, at::TensorList saved, BackwardFunction backward);
  Tensors record(Tensors outputs, at::TensorList saved, BackwardFunction backward);

 private:
  const char* name_;
  TimedScope timed_;
  Tensors inputs_;
  at::Tensor changed_;
  bool recording_, keeps_missing_ = false;
  std::vector<std::pair<size_t, RemakeFunction>> remakes_;
  int64_t owed_output_ = -1;
  at::NoGradGuard no_grad_;
};

// Where a node that reads x may leave products for x's gradient, to return an undefined one in their place; null where
// the node that made x takes none. Not for a gradient that is asked for itself, in gradients().
std::shared_ptr<OwedProducts> owed_products_of(const at::Tensor& x);

// The gradients of outputs, weighted by output_grads, with respect to inputs (undefined where none is reached). Frees
// the graph behind outputs; is not itself recorded.
Tensors gradients(const Tensors& outputs, const Tensors& inputs, const Tensors& output_grads);

// Adds the gradients of outputs, weighted by output_grads, to .grad of every leaf behind them. Frees the graph.
void add_gradients(const Tensors& outputs, const Tensors& output_grads);

}  // namespace morex::ops
