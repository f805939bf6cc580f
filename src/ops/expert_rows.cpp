#include "ops/expert_rows.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

bool in_place(const at::Tensor& t) { return t.is_cpu() && t.stride(1) == 1; }

}  // namespace

at::Tensor take_rows(const at::Tensor& x, const at::Tensor& tokens, int64_t rows) {
  const int64_t count = tokens.size(0), width = x.size(1);
  MOREX_ASSERT(x.dim() == 2 && tokens.dim() == 1 && rows >= count);
  const at::Tensor out = at::empty({rows, width}, x.options().requires_grad(false));
  out.narrow(0, count, rows - count).zero_();
  if (!in_place(x)) {
    out.narrow(0, 0, count).copy_(x.detach().index_select(0, tokens));
    return out;
  }
  const auto bytes = static_cast<size_t>(width * x.element_size());
  const int64_t stride = x.stride(0) * x.element_size();
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(out.mutable_data_ptr());
  const int64_t* token = tokens.const_data_ptr<int64_t>();
  for_chunks(count, rows_per_chunk(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + static_cast<size_t>(i) * bytes, from + token[i] * stride, bytes);
  });
  return out;
}

void add_rows(const at::Tensor& y, const at::Tensor& tokens, const at::Tensor& rows) {
  MOREX_ASSERT(y.dim() == 2 && rows.dim() == 2 && y.size(1) == rows.size(1) && tokens.size(0) <= rows.size(0));
  const at::NoGradGuard no_grad;
  if (!in_place(y) || !in_place(rows)) {
    y.index_add_(0, tokens, rows.narrow(0, 0, tokens.size(0)));
    return;
  }
  const int64_t width = y.size(1), y_stride = y.stride(0), rows_stride = rows.stride(0);
  const int64_t* token = tokens.const_data_ptr<int64_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, y.scalar_type(), "add_rows", [&] {
    scalar_t* to = y.mutable_data_ptr<scalar_t>();
    const scalar_t* from = rows.const_data_ptr<scalar_t>();
    for_chunks(tokens.size(0), rows_per_chunk(width), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t i = begin; i < end; ++i) add_row(from + i * rows_stride, to + token[i] * y_stride, width);
      });
    });
  });
}

Visits visits_of(const ExpertRows& rows, int64_t tokens) {
  Visits visits;
  const at::Tensor all = rows.tokens.contiguous();
  const int64_t* token = all.const_data_ptr<int64_t>();
  std::vector<uint8_t> seen(static_cast<size_t>(tokens), 0);
  visits.first.reserve(static_cast<size_t>(all.numel()));
  for (int64_t i = 0; i < all.numel(); ++i) {
    uint8_t& mark = seen[static_cast<size_t>(token[i])];
    visits.first.push_back(mark == 0);
    mark = 1;
  }
  for (int64_t t = 0; t < tokens; ++t)
    if (seen[static_cast<size_t>(t)] == 0) visits.missed.push_back(t);
  return visits;
}

}  // namespace morex::ops
