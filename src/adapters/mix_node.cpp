#include "adapters/mix_node.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"

namespace morex::adapters {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the node carries besides tensors.
struct MixState : torch::CustomClassHolder {
  std::shared_ptr<const MixBody> body;
  int64_t row_inputs = 0;
  int64_t chunk = 0;
};

std::vector<at::Tensor> slices(const std::vector<at::Tensor>& rows, int64_t first, int64_t count) {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& tensor : rows) parts.push_back(tensor.narrow(0, first, count));
  return parts;
}

MixResult run_chunks(const MixBody& body, const std::vector<at::Tensor>& rows, const std::vector<at::Tensor>& shared,
                     int64_t chunk) {
  const int64_t total = rows.front().size(0);
  if (total <= chunk) return body(rows, shared, 0, true);
  MixResult all;
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < total; first += chunk) {
    MixResult part = body(slices(rows, first, std::min(chunk, total - first)), shared, first, true);
    parts.push_back(std::move(part.z));
    if (all.sums.empty()) {
      all.sums = std::move(part.sums);
    } else {
      for (size_t i = 0; i < all.sums.size(); ++i) all.sums[i] = all.sums[i] + part.sums[i];
    }
  }
  all.z = at::cat(parts, 0);
  return all;
}

std::vector<at::Tensor> leaves_of(const std::vector<at::Tensor>& tensors, const std::vector<bool>& wanted,
                                  size_t from) {
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < tensors.size(); ++i) leaves.push_back(tensors[i].detach().requires_grad_(wanted[from + i]));
  return leaves;
}

struct MixNode : torch::autograd::Function<MixNode> {
  // A TensorList: the only list whose tensors autograd sees.
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs, c10::intrusive_ptr<MixState> state) {
    const auto split = inputs.begin() + state->row_inputs;
    const std::vector<at::Tensor> rows(inputs.begin(), split), shared(split, inputs.end());
    MixResult result = run_chunks(*state->body, rows, shared, state->chunk);
    ctx->save_for_backward(inputs.vec());
    ctx->saved_data["state"] = c10::IValue::make_capsule(std::move(state));
    variable_list outputs{result.z};
    outputs.insert(outputs.end(), result.sums.begin(), result.sums.end());
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto holder = ctx->saved_data["state"].toCapsule();
    const auto* state = static_cast<const MixState*>(holder.get());
    const variable_list inputs = ctx->get_saved_variables();
    const auto split = inputs.begin() + state->row_inputs;
    const std::vector<at::Tensor> rows(inputs.begin(), split), shared(split, inputs.end());
    std::vector<bool> wanted;
    for (size_t i = 0; i < inputs.size(); ++i) wanted.push_back(ctx->needs_input_grad(i));

    at::AutoGradMode enabled(true);
    variable_list result(inputs.size() + 1);
    const int64_t total = rows.front().size(0);
    for (int64_t first = 0; first < total; first += state->chunk) {
      const int64_t count = std::min(state->chunk, total - first);
      const auto row_leaves = leaves_of(slices(rows, first, count), wanted, 0);
      const auto shared_leaves = leaves_of(shared, wanted, rows.size());
      const MixResult part = (*state->body)(row_leaves, shared_leaves, first, false);

      variable_list outputs, output_grads, leaves;
      const auto add_output = [&](const at::Tensor& output, const at::Tensor& grad) {
        if (!grad.defined() || !output.requires_grad()) return;
        outputs.push_back(output);
        output_grads.push_back(grad);
      };
      add_output(part.z, grads[0].defined() ? grads[0].narrow(0, first, count) : at::Tensor());
      MOREX_ASSERT(part.sums.size() + 1 == grads.size());
      for (size_t i = 0; i < part.sums.size(); ++i) add_output(part.sums[i], grads[i + 1]);
      if (outputs.empty()) continue;
      std::vector<size_t> places;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (!wanted[i]) continue;
        leaves.push_back(i < rows.size() ? row_leaves[i] : shared_leaves[i - rows.size()]);
        places.push_back(i);
      }
      const variable_list found =
          torch::autograd::grad(outputs, leaves, output_grads, /*retain_graph=*/false, /*create_graph=*/false,
                                /*allow_unused=*/true);
      for (size_t i = 0; i < found.size(); ++i) {
        if (!found[i].defined()) continue;
        at::Tensor& sum = result[places[i]];
        if (places[i] >= rows.size()) {
          sum = sum.defined() ? sum.add_(found[i]) : found[i].clone();
        } else if (count == total) {
          sum = found[i];
        } else {
          if (!sum.defined()) sum = at::zeros_like(inputs[places[i]], at::MemoryFormat::Contiguous);
          sum.narrow(0, first, count).copy_(found[i]);
        }
      }
    }
    return result;
  }
};

}  // namespace

MixResult run_mix(std::shared_ptr<const MixBody> body, const std::vector<at::Tensor>& rows,
                  const std::vector<at::Tensor>& shared, int64_t chunk) {
  bool wanted = false;
  for (const at::Tensor& tensor : rows) wanted = wanted || tensor.requires_grad();
  for (const at::Tensor& tensor : shared) wanted = wanted || tensor.requires_grad();
  if (!wanted || !at::GradMode::is_enabled()) return run_chunks(*body, rows, shared, chunk);

  variable_list inputs(rows.begin(), rows.end());
  inputs.insert(inputs.end(), shared.begin(), shared.end());
  auto state = c10::make_intrusive<MixState>();
  state->body = std::move(body);
  state->row_inputs = static_cast<int64_t>(rows.size());
  state->chunk = chunk;
  variable_list outputs = MixNode::apply(at::TensorList(inputs), state);
  MixResult result;
  result.z = outputs.front();
  result.sums.assign(outputs.begin() + 1, outputs.end());
  return result;
}

}  // namespace morex::adapters
