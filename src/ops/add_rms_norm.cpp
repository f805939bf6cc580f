#include "ops/add_rms_norm.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/rms_norm_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// sum = stream + delta; returns 1/sqrt(mean(sum²) + eps).
template <typename S, typename T, typename A>
[[gnu::always_inline]] inline A add_row(const S* stream, const T* delta, A* sum, int64_t d, A eps) {
  A squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) {
    // DEVIATION: Hugging Face rounds the sum to bfloat16 in a bfloat16 model.
    sum[i] = widen(stream[i]) + widen(delta[i]);
    squares += sum[i] * sum[i];
  }
  return A(1) / std::sqrt(squares / static_cast<A>(d) + eps);
}

template <typename T, typename A>
[[gnu::always_inline]] inline void norm_row(const A* sum, const T* w, A rstd, T* unit, T* normed, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    // DEVIATION: Hugging Face rounds the unit row to bfloat16 before its product with the weight.
    const A u = sum[i] * rstd;
    unit[i] = narrow<T>(u);
    normed[i] = narrow<T>(widen(w[i]) * u);
  }
}

template <typename T>
[[gnu::always_inline]] inline void weight_row(const T* unit, const T* w, T* normed, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) normed[i] = narrow<T>(widen(w[i]) * widen(unit[i]));
}

// With g = dnormed·w: dsum = dstream + rstd·(g - unit·mean(g·unit)).
template <typename T, typename A>
[[gnu::always_inline]] inline A projection(const T* dnormed, const T* w, const T* unit, int64_t d) {
  A dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < d; ++i) dot += widen(dnormed[i]) * widen(w[i]) * widen(unit[i]);
  return dot / static_cast<A>(d);
}

template <typename O, typename T, typename A>
[[gnu::always_inline]] inline void gradient_row(const A* dstream, const T* dnormed, const T* w, const T* unit, A rstd,
                                                A mean, O* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    out[i] = narrow<O>(dstream[i] + rstd * (widen(dnormed[i]) * widen(w[i]) - mean * widen(unit[i])));
  }
}

struct Normalised {
  at::Tensor stream, normed, unit, rstd;  // [T, D] three times, [T]
};

template <typename S, typename T>
void forward_rows(const at::Tensor& stream, const at::Tensor& delta, const at::Tensor& weight, double eps, bool keep,
                  const Normalised& out) {
  using A = Wide<T>;
  const int64_t d = delta.size(1), stream_stride = stream.stride(0), delta_stride = delta.stride(0);
  const S* streams = stream.const_data_ptr<S>();
  const T *deltas = delta.const_data_ptr<T>(), *w = weight.const_data_ptr<T>();
  A *sums = out.stream.mutable_data_ptr<A>(), *rstds = out.rstd.mutable_data_ptr<A>();
  T *normed = out.normed.mutable_data_ptr<T>(), *units = keep ? out.unit.mutable_data_ptr<T>() : nullptr;
  for_chunks(delta.size(0), rows_per_chunk(d), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t t = begin; t < end; ++t) {
        A* sum = sums + t * d;
        rstds[t] = add_row(streams + t * stream_stride, deltas + t * delta_stride, sum, d, static_cast<A>(eps));
        T* row = normed + t * d;
        norm_row(sum, w, rstds[t], keep ? units + t * d : row, row, d);  // units that nobody keeps are overwritten
      }
    });
  });
}

Normalised forward(const at::Tensor& stream_in, const at::Tensor& delta_in, const at::Tensor& weight, double eps,
                   bool keep) {
  MOREX_ASSERT(delta_in.dim() == 2 && stream_in.sizes() == delta_in.sizes() && weight.dim() == 1 &&
               weight.size(0) == delta_in.size(1));
  const at::Tensor stream = with_dense_rows(stream_in.detach()), delta = with_dense_rows(delta_in.detach());
  const at::ScalarType dtype = delta.scalar_type(), wide = wide_type(dtype);
  MOREX_ASSERT(stream.scalar_type() == dtype || stream.scalar_type() == wide);
  const at::Tensor w = weight.detach().to(dtype).contiguous();
  const auto wide_options = delta.options().dtype(wide);
  Normalised out{at::empty(delta.sizes(), wide_options),
                 at::empty(delta.sizes(), delta.options()),
                 {},
                 at::empty({delta.size(0)}, wide_options)};
  if (keep) out.unit = at::empty(delta.sizes(), delta.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, dtype, "add_rms_norm", [&] {
    if (stream.scalar_type() == dtype) {
      forward_rows<scalar_t, scalar_t>(stream, delta, w, eps, keep, out);
    } else {
      forward_rows<Wide<scalar_t>, scalar_t>(stream, delta, w, eps, keep, out);
    }
  });
  return out;
}

// normed again, from the unit rows that are kept: the same product, rounded in the same way.
at::Tensor weighted(const at::Tensor& unit, const at::Tensor& weight) {
  const at::Tensor w = weight.detach().to(unit.scalar_type()).contiguous();
  const at::Tensor normed = at::empty(unit.sizes(), unit.options());
  const int64_t rows = unit.size(0), d = unit.size(1);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, unit.scalar_type(), "add_rms_norm_again", [&] {
    const scalar_t *units = unit.const_data_ptr<scalar_t>(), *ws = w.const_data_ptr<scalar_t>();
    scalar_t* out = normed.mutable_data_ptr<scalar_t>();
    for_chunks(rows, rows_per_chunk(d), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t) weight_row(units + t * d, ws, out + t * d, d);
      });
    });
  });
  return normed;
}

struct StreamGradients {
  at::Tensor wide, narrow;  // [T, D] of the sum, in its dtype and in delta's; undefined unless asked for
};

StreamGradients backward(const at::Tensor& dstream_in, const at::Tensor& dnormed_in, const at::Tensor& weight,
                         const at::Tensor& unit, const at::Tensor& rstd, bool need_wide, bool need_narrow) {
  const at::Tensor dstream = with_dense_rows(dstream_in.detach()), dnormed = with_dense_rows(dnormed_in.detach());
  const at::Tensor w = weight.detach().to(unit.scalar_type()).contiguous();
  const int64_t rows = unit.size(0), d = unit.size(1);
  StreamGradients out;
  if (need_wide) out.wide = at::empty({rows, d}, rstd.options());
  if (need_narrow) out.narrow = at::empty({rows, d}, unit.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, unit.scalar_type(), "add_rms_norm_backward", [&] {
    using A = Wide<scalar_t>;
    const A *dstreams = dstream.const_data_ptr<A>(), *rstds = rstd.const_data_ptr<A>();
    const scalar_t *gs = dnormed.const_data_ptr<scalar_t>(), *ws = w.const_data_ptr<scalar_t>();
    const scalar_t* units = unit.const_data_ptr<scalar_t>();
    A* wides = need_wide ? out.wide.mutable_data_ptr<A>() : nullptr;
    scalar_t* narrows = need_narrow ? out.narrow.mutable_data_ptr<scalar_t>() : nullptr;
    const int64_t d_stride = dstream.stride(0), g_stride = dnormed.stride(0);
    for_chunks(rows, rows_per_chunk(d), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t) {
          const A* up = dstreams + t * d_stride;
          const scalar_t *g = gs + t * g_stride, *n = units + t * d;
          const A mean = projection<scalar_t, A>(g, ws, n, d);
          if (wides != nullptr) gradient_row(up, g, ws, n, rstds[t], mean, wides + t * d, d);
          if (narrows != nullptr) gradient_row(up, g, ws, n, rstds[t], mean, narrows + t * d, d);
        }
      });
    });
  });
  return out;
}

}  // namespace

StreamAndNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& delta, const at::Tensor& weight, double eps) {
  if (!delta.is_cpu()) return reference::add_rms_norm(stream, delta, weight, eps);
  AutogradNode node("add_rms_norm", {stream, delta, weight});
  const bool keep = node.wants(0) || node.wants(1) || node.wants(2);
  const Normalised out = forward(stream, delta, weight, eps, keep);
  const bool alike = stream.scalar_type() == delta.scalar_type();
  if (worth_remaking(delta)) node.remakes(1, [](const Tensors& saved) { return weighted(saved[0], saved[1]); });
  const Tensors recorded =
      node.record({out.stream, out.normed}, {out.unit, weight, out.rstd}, [alike](const BackwardPass& pass) -> Tensors {
        const at::Tensor &unit = pass.saved[0], &weight = pass.saved[1], &rstd = pass.saved[2];
        const at::Tensor& dnormed = pass.grads[1];
        const bool need_wide = pass.wants(0) && !alike, need_narrow = pass.wants(1) || (pass.wants(0) && alike);
        const StreamGradients d = backward(pass.grads[0], dnormed, weight, unit, rstd, need_wide, need_narrow);
        at::Tensor dw;
        if (pass.wants(2)) dw = unit.to(rstd.scalar_type()).mul(dnormed).sum(0).to(weight.scalar_type());  // [D]
        return {alike ? d.narrow : d.wide, d.narrow, dw};
      });
  return {recorded[0], recorded[1]};
}

}  // namespace morex::ops
