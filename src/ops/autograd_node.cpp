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

using StrongTensor = c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

class RecordedNode;

// A tensor that a node keeps: itself, or the node that can form it again.
struct Kept {
  SavedVariable variable;
  std::shared_ptr<RecordedNode> source;
  size_t output = 0;  // of source
};

class RecordedNode : public Node {
 public:
  RecordedNode(const char* name, bool keeps_missing, BackwardFunction backward)
      : name_(name), keeps_missing_(keeps_missing), backward_(std::move(backward)) {}

  std::string name() const override { return name_; }

  // After the outputs became this node's: an output that is saved must not keep its own node alive.
  void save(at::TensorList tensors) {
    saved_.resize(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const at::Tensor& tensor = tensors[i];
      if (!tensor.defined()) continue;
      const bool own = tensor.grad_fn().get() == this;
      if (auto source = own ? nullptr : source_of(tensor)) {
        saved_[i].source = std::move(source);
        saved_[i].output = tensor.output_nr();
      } else {
        saved_[i].variable = SavedVariable(tensor, /*is_output=*/own);
      }
    }
  }

  void take_products(int64_t output) {
    owed_output_ = output;
    owed_ = std::make_shared<OwedProducts>();
  }

  static std::shared_ptr<OwedProducts> owed_of(const at::Tensor& x) {
    if (!x.requires_grad() || x.is_view()) return nullptr;
    const auto* node = dynamic_cast<const RecordedNode*>(x.grad_fn().get());
    return node != nullptr && node->owed_output_ == x.output_nr() ? node->owed_ : nullptr;
  }

  // The outputs as they were recorded: changed in place since, they are not what would be formed again.
  void can_remake(size_t output, RemakeFunction remake, const at::Tensor& recorded) {
    remakes_.push_back({output, recorded._version(), std::move(remake), WeakTensor(StrongTensor())});
  }

  // The node that forms this tensor again, null where there is none.
  static std::shared_ptr<RecordedNode> source_of(const at::Tensor& tensor) {
    if (!tensor.requires_grad() || tensor.is_view()) return nullptr;
    auto node = std::dynamic_pointer_cast<RecordedNode>(tensor.grad_fn());
    if (node == nullptr) return nullptr;
    Remake* remake = node->find_remake(tensor.output_nr());
    return remake != nullptr && remake->version == tensor._version() ? node : nullptr;
  }

  // While somebody still holds what was formed last, that is given again.
  at::Tensor remake(size_t output) {
    const std::lock_guard<std::mutex> lock(mutex_);
    check_not_released();
    Remake& remake = *find_remake(output);
    if (auto held = remake.last.lock()) return at::Tensor(std::move(held));
    const at::NoGradGuard no_grad;
    at::Tensor formed = remake.form(unpacked());
    formed.requires_grad_(true);  // as what was saved
    remake.last = WeakTensor(formed.getIntrusivePtr());
    return formed;
  }

  variable_list apply(variable_list&& grads) override {
    const std::lock_guard<std::mutex> lock(mutex_);  // against release_variables
    MOREX_CHECK(!at::GradMode::is_enabled(), ErrorKind::kRun,
                "[{}] its gradient must not be differentiated again: it has no second derivative here", name_);
    check_not_released();
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].defined() && !keeps_missing_) grads[i] = input_metadata(i).zeros_like();
    }
    std::vector<Factors> owed;
    if (owed_) owed = owed_->take();
    variable_list result = backward_(BackwardPass(unpacked(), std::move(grads), std::move(owed), *this));
    MOREX_ASSERT(result.size() == next_edges().size());
    return result;
  }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    saved_.clear();
    remakes_.clear();
    if (owed_) owed_->take();
    released_ = true;
  }

 private:
  struct Remake {
    size_t output;
    int64_t version;
    RemakeFunction form;
    WeakTensor last;
  };

  Remake* find_remake(size_t output) {
    const auto found =
        std::find_if(remakes_.begin(), remakes_.end(), [&](const Remake& r) { return r.output == output; });
    return found == remakes_.end() ? nullptr : &*found;
  }

  void check_not_released() const {
    MOREX_CHECK(!released_, ErrorKind::kRun, "[{}] {}", name_, torch::autograd::ERR_BACKWARD_TWICE);
  }

  variable_list unpacked() {
    variable_list tensors;
    tensors.reserve(saved_.size());
    for (const Kept& kept : saved_)
      tensors.push_back(kept.source ? kept.source->remake(kept.output) : kept.variable.unpack(getptr()));
    return tensors;
  }

  const char* name_;
  bool keeps_missing_;
  BackwardFunction backward_;
  std::vector<Kept> saved_;
  std::vector<Remake> remakes_;
  int64_t owed_output_ = -1;
  std::shared_ptr<OwedProducts> owed_;
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
      recording_(at::GradMode::is_enabled() && (reach == Reach::kLeaves || any_wanted(inputs))) {
  if (recording_) inputs_.assign(inputs.begin(), inputs.end());
}

bool AutogradNode::wants(size_t input) const { return recording_ && requires_grad(inputs_[input]); }

void AutogradNode::passes(size_t input, size_t output) {
  if (!recording_) return;
  if (auto source = RecordedNode::source_of(inputs_[input]))
    remakes(output, [source, from = inputs_[input].output_nr()](const Tensors&) { return source->remake(from); });
}

void AutogradNode::changes(const at::Tensor& input) { changed_ = input; }

at::Tensor AutogradNode::record(at::Tensor output, at::TensorList saved, BackwardFunction backward) {
  return std::move(record(Tensors{std::move(output)}, saved, std::move(backward)).front());
}

Tensors AutogradNode::record(Tensors outputs, at::TensorList saved, BackwardFunction backward) {
  if (changed_.defined()) changed_.unsafeGetTensorImpl()->bump_version();
  if (!recording_) return outputs;

  std::unordered_set<at::TensorImpl*> changed;
  if (changed_.defined()) changed.insert(changed_.unsafeGetTensorImpl());
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
  if (owed_output_ >= 0) node->take_products(owed_output_);
  for (auto& [output, remake] : remakes_) node->can_remake(output, std::move(remake), outputs[output]);
  return outputs;
}

std::shared_ptr<OwedProducts> owed_products_of(const at::Tensor& x) { return RecordedNode::owed_of(x); }

Tensors gradients(const Tensors& outputs, const Tensors& inputs, const Tensors& output_grads) {
  return torch::autograd::grad(outputs, inputs, output_grads, /*retain_graph=*/false, /*create_graph=*/false,
                               /*allow_unused=*/true);
}

void add_gradients(const Tensors& outputs, const Tensors& output_grads) {
  torch::autograd::backward(outputs, output_grads, /*retain_graph=*/false, /*create_graph=*/false);
}

}  // namespace morex::ops
