#include "adapters/mix_node.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "ops/autograd_node.h"

namespace morex::adapters {
namespace {

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

// The gradients of all inputs (rows, then shared): the body runs again over each chunk and is differentiated there.
ops::Tensors mix_backward(const ops::BackwardPass& pass, const MixBody& body, size_t row_inputs, int64_t chunk) {
  const ops::Tensors &inputs = pass.saved, &grads = pass.grads;
  const auto split = inputs.begin() + static_cast<std::ptrdiff_t>(row_inputs);
  const std::vector<at::Tensor> rows(inputs.begin(), split), shared(split, inputs.end());
  std::vector<bool> wanted;
  for (size_t i = 0; i < inputs.size(); ++i) wanted.push_back(pass.wants(i));

  at::AutoGradMode enabled(true);
  ops::Tensors result(inputs.size());
  const int64_t total = rows.front().size(0);
  for (int64_t first = 0; first < total; first += chunk) {
    const int64_t count = std::min(chunk, total - first);
    const auto row_leaves = leaves_of(slices(rows, first, count), wanted, 0);
    const auto shared_leaves = leaves_of(shared, wanted, rows.size());
    const MixResult part = body(row_leaves, shared_leaves, first, false);

    ops::Tensors outputs, output_grads, leaves;
    const auto add_output = [&](const at::Tensor& output, const at::Tensor& grad) {
      if (!output.requires_grad()) return;
      outputs.push_back(output);
      output_grads.push_back(grad);
    };
    add_output(part.z, grads[0].narrow(0, first, count));
    MOREX_ASSERT(part.sums.size() + 1 == grads.size());
    for (size_t i = 0; i < part.sums.size(); ++i) add_output(part.sums[i], grads[i + 1]);
    if (outputs.empty()) continue;
    std::vector<size_t> places;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!wanted[i]) continue;
      leaves.push_back(i < rows.size() ? row_leaves[i] : shared_leaves[i - rows.size()]);
      places.push_back(i);
    }
    const ops::Tensors found = ops::gradients(outputs, leaves, output_grads);
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

}  // namespace

MixResult run_mix(std::shared_ptr<const MixBody> body, const std::vector<at::Tensor>& rows,
                  const std::vector<at::Tensor>& shared, int64_t chunk, bool keep) {
  if (keep) return run_chunks(*body, rows, shared, chunk);
  ops::Tensors inputs(rows.begin(), rows.end());
  inputs.insert(inputs.end(), shared.begin(), shared.end());
  ops::AutogradNode node("mix", inputs);
  MixResult result = run_chunks(*body, rows, shared, chunk);
  ops::Tensors outputs{result.z};
  outputs.insert(outputs.end(), result.sums.begin(), result.sums.end());
  const auto backward = [body = std::move(body), row_inputs = rows.size(), chunk](const ops::BackwardPass& pass) {
    return mix_backward(pass, *body, row_inputs, chunk);
  };
  outputs = node.record(std::move(outputs), inputs, backward);
  result.z = outputs.front();
  result.sums.assign(outputs.begin() + 1, outputs.end());
  return result;
}

}  // namespace morex::adapters
