#include "ops/autograd_node.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "base/error.h"

namespace morex::ops {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

class RecordedNode : public Node {
 public:
  RecordedNode(const char* name, bool keeps_missing, BackwardFunction backward)
      : name_(name), keeps_missing_(keeps_missing), backward_(std::move(backward)) {}

  std::string name() const override { return name_; }

  // After the outputs became this node's: an output that is saved must not keep its own node alive.
  void save(at::TensorList tensors) {
    saved_.reserve(tensors.size());
    for (const at::Tensor& tensor : tensors) {
      if (tensor.defined()) {
        saved_.emplace_back(tensor, /*is_output=*/tensor.grad_fn().get() == this);
      } else {
        saved_.emplace_back();
      }
    }
  }

  variable_list apply(variable_list&& grads) override {
    const std::lock_guard<std::mutex> lock(mutex_);  // against release_variables
    MOREX_CHECK(!at::GradMode::is_enabled(), ErrorKind::kRun,
                "[{}] its gradient must not be differentiated again: it has no second derivative here", name_);
    MOREX_CHECK(!released_, ErrorKind::kRun, "[{}] {}", name_, torch::autograd::ERR_BACKWARD_TWICE);
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].defined() && !keeps_missing_) grads[i] = input_metadata(i).zeros_like();
    }
    variable_list saved;
    saved.reserve(saved_.size());
    for (const SavedVariable& variable : saved_) saved.push_back(variable.unpack(getptr()));
    variable_list result = backward_(BackwardPass(std::move(saved), std::move(grads), *this));
    MOREX_ASSERT(result.size() == next_edges().size());
    return result;
  }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    saved_.clear();
    released_ = true;
  }

 private:
  const char* name_;
  bool keeps_missing_;
  BackwardFunction backward_;
  std::vector<SavedVariable> saved_;
  bool released_ = false;
};

bool requires_grad(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

bool any_wanted(at::TensorList inputs) { return std::any_of(inputs.begin(), inputs.end(), requires_grad); }

variable_list refuse_forward_mode(const variable_list&, const variable_list&) {
  fail(ErrorKind::kRun, "forward-mode differentiation is not supported");
}

}  // namespace

bool BackwardPass::wants(size_t input) const { return node_.task_should_compute_output(input); }

AutogradNode::AutogradNode(const char* name, at::TensorList inputs, Reach reach)
    : name_(name),
      timed_(name),
      inputs_(inputs.begin(), inputs.end()),
      recording_(at::GradMode::is_enabled() && (reach == Reach::kLeaves || any_wanted(inputs))) {}

bool AutogradNode::wants(size_t input) const { return recording_ && requires_grad(inputs_[input]); }

void AutogradNode::changes(const at::Tensor& input) { changed_ = input; }

at::Tensor AutogradNode::record(at::Tensor output, at::TensorList saved, BackwardFunction backward) {
  return std::move(record(Tensors{std::move(output)}, saved, std::move(backward)).front());
}

Tensors AutogradNode::record(Tensors outputs, at::TensorList saved, BackwardFunction backward) {
  std::unordered_set<at::TensorImpl*> changed;
  if (changed_.defined()) {
    changed_.unsafeGetTensorImpl()->bump_version();
    changed.insert(changed_.unsafeGetTensorImpl());
  }
  if (!recording_) return outputs;

  const at::AutoGradMode enabled(true);
  const std::shared_ptr<RecordedNode> node(new RecordedNode(name_, keeps_missing_, std::move(backward)),
                                           torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs_));
  std::erase_if(inputs_, [](const at::Tensor& input) { return !input.defined(); });
  const std::vector<std::optional<at::Tensor>> raw(outputs.begin(), outputs.end());
  const auto wrapped = torch::autograd::_wrap_outputs(
      inputs_, /*non_differentiable=*/{}, changed, raw, node, refuse_forward_mode, {},
      [](const at::Tensor& x) { return x.view_as(x); }, /*pure_view=*/false);
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = *wrapped[i];
  node->save(saved);
  return outputs;
}

Tensors gradients(const Tensors& outputs, const Tensors& inputs, const Tensors& output_grads) {
  return torch::autograd::grad(outputs, inputs, output_grads, /*retain_graph=*/false, /*create_graph=*/false,
                               /*allow_unused=*/true);
}

void add_gradients(const Tensors& outputs, const Tensors& output_grads) {
  torch::autograd::backward(outputs, output_grads, /*retain_graph=*/false, /*create_graph=*/false);
}

}  // namespace morex::ops
