#include "ops/grid_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <cstring>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/expert_rows.h"

namespace morex::ops {
namespace {

at::Tensor spread(const at::Tensor& x_in, const at::Tensor& places, int64_t rows) {
  const at::Tensor x = with_dense_rows(x_in.detach());
  const at::Tensor y = at::zeros({rows, x.size(1)}, x.options().requires_grad(false));
  if (!x.is_cpu()) return y.index_copy_(0, places, x);
  const auto bytes = static_cast<size_t>(x.size(1) * x.element_size());
  const int64_t stride = x.stride(0) * x.element_size();
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(y.mutable_data_ptr());
  const int64_t* place = places.const_data_ptr<int64_t>();
  for_chunks(x.size(0), rows_per_chunk(x.size(1)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + static_cast<size_t>(place[i]) * bytes, from + i * stride, bytes);
  });
  return y;
}

}  // namespace

at::Tensor to_grid(const at::Tensor& x, const at::Tensor& places, int64_t rows) {
  MOREX_ASSERT(x.dim() == 2 && places.dim() == 1 && x.size(0) == places.size(0));
  AutogradNode node("to_grid", {x});
  return node.record(spread(x, places, rows), {places}, [](const BackwardPass& pass) -> Tensors {
    return {take_rows(pass.grads[0], pass.saved[0], pass.saved[0].size(0))};
  });
}

at::Tensor from_grid(const at::Tensor& x, const at::Tensor& places) {
  MOREX_ASSERT(x.dim() == 2 && places.dim() == 1);
  AutogradNode node("from_grid", {x});
  return node.record(
      take_rows(x, places, places.size(0)), {places},
      [rows = x.size(0)](const BackwardPass& pass) -> Tensors { return {spread(pass.grads[0], pass.saved[0], rows)}; });
}

}  // namespace morex::ops
