#include "ops/scale_experts.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/scale_experts_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

struct Shape {
  int64_t tokens, experts, rank, picks;
  bool shared, sparse;

  int64_t width() const { return shared ? rank : experts * rank; }  // of h
  int64_t wide() const { return experts * rank; }                   // of z
};

Shape shape_of(const ScaleExpertsInput& in, int64_t experts) {
  const int64_t columns = in.h.size(1);
  return {in.h.size(0),       experts,   in.shared ? columns : columns / experts,
          in.weights.size(1), in.shared, in.ids.defined()};
}

template <typename T>
struct Loops {
  Shape shape;
  Wide<T> scale;
  const T* h;
  int64_t h_stride;
  const Wide<T>* weights;
  const int64_t* ids;  // null: all

  [[gnu::always_inline]] int64_t expert(int64_t t, int64_t i) const {
    return shape.sparse ? ids[t * shape.picks + i] : i;
  }
  [[gnu::always_inline]] const T* down(int64_t t, int64_t e) const {
    return h + t * h_stride + (shape.shared ? 0 : e * shape.rank);
  }

  [[gnu::always_inline]] void forward(int64_t t, T* z) const {
    T* row = z + t * shape.wide();
    if (shape.sparse) std::fill_n(row, shape.wide(), T(0));
    for (int64_t i = 0; i < shape.picks; ++i) {
      const int64_t e = expert(t, i);
      const Wide<T> g = weights[t * shape.picks + i] * scale;
      const T* from = down(t, e);
      T* to = row + e * shape.rank;
#pragma omp simd
      for (int64_t j = 0; j < shape.rank; ++j) to[j] = narrow<T>(widen(from[j]) * g);
    }
  }

  // sum: [r] of a shared h.
  [[gnu::always_inline]] void backward(int64_t t, const T* dz, T* dh, Wide<T>* dweights, Wide<T>* sum) const {
    T* row = dh + t * shape.width();
    if (shape.shared) std::fill_n(sum, shape.rank, Wide<T>(0));
    if (shape.sparse && !shape.shared) std::fill_n(row, shape.width(), T(0));
    for (int64_t i = 0; i < shape.picks; ++i) {
      const int64_t e = expert(t, i);
      const Wide<T> g = weights[t * shape.picks + i] * scale;
      const T *from = down(t, e), *d = dz + t * shape.wide() + e * shape.rank;
      dweights[t * shape.picks + i] = scale * dot(from, d);
      if (shape.shared) {
#pragma omp simd
        for (int64_t j = 0; j < shape.rank; ++j) sum[j] += widen(d[j]) * g;
      } else {
        T* to = row + e * shape.rank;
#pragma omp simd
        for (int64_t j = 0; j < shape.rank; ++j) to[j] = narrow<T>(widen(d[j]) * g);
      }
    }
    if (shape.shared) convert_row(sum, row, shape.rank);
  }

  [[gnu::always_inline]] Wide<T> dot(const T* a, const T* b) const {
    Wide<T> total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < shape.rank; ++j) total += widen(a[j]) * widen(b[j]);
    return total;
  }
};

// The inputs as loops read them, detached.
struct Readable {
  at::Tensor h, weights, ids;

  explicit Readable(const ScaleExpertsInput& in)
      : h(with_dense_rows(unrecorded(in.h))), weights(unrecorded(in.weights).contiguous()) {
    if (in.ids.defined()) ids = in.ids.contiguous();
  }

  template <typename T>
  Loops<T> loops(const Shape& shape, double scale) const {
    return {shape,       static_cast<Wide<T>>(scale),       h.const_data_ptr<T>(),
            h.stride(0), weights.const_data_ptr<Wide<T>>(), shape.sparse ? ids.const_data_ptr<int64_t>() : nullptr};
  }
};

at::Tensor forward(const ScaleExpertsInput& in, const Shape& shape, double scale) {
  const Readable read(in);
  const at::Tensor z = at::empty({shape.tokens, shape.wide()}, read.h.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, z.scalar_type(), "scale_experts", [&] {
    const auto loops = read.loops<scalar_t>(shape, scale);
    scalar_t* to = z.mutable_data_ptr<scalar_t>();
    for_chunks(shape.tokens, rows_per_chunk(shape.wide()), [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t) loops.forward(t, to);
      });
    });
  });
  return z;
}

// With g = c·w: dh_te = g_te·dz_te, dw_te = c·⟨h_te, dz_te⟩.
Tensors backward(const at::Tensor& dz_in, const ScaleExpertsInput& in, int64_t experts, double scale) {
  const Readable read(in);
  const Shape shape = shape_of(in, experts);
  const at::Tensor dz = dz_in.detach().contiguous();                                 // [T, E·r]
  const at::Tensor dh = at::empty({shape.tokens, shape.width()}, read.h.options());  // as h
  const at::Tensor dweights = at::empty({shape.tokens, shape.picks}, read.weights.options());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, dz.scalar_type(), "scale_experts_backward", [&] {
    const auto loops = read.loops<scalar_t>(shape, scale);
    const scalar_t* d = dz.const_data_ptr<scalar_t>();
    scalar_t* to = dh.mutable_data_ptr<scalar_t>();
    auto* gates = dweights.mutable_data_ptr<Wide<scalar_t>>();
    for_chunks(shape.tokens, rows_per_chunk(shape.wide()), [&](int64_t begin, int64_t end) {
      std::vector<Wide<scalar_t>> sum(static_cast<size_t>(shape.shared ? shape.rank : 0));
      in_vectors([&]() __attribute__((always_inline)) {
        for (int64_t t = begin; t < end; ++t) loops.backward(t, d, to, gates, sum.data());
      });
    });
  });
  return {dh, dweights};
}

}  // namespace

at::Tensor scale_experts(const ScaleExpertsInput& in, int64_t experts, double scale) {
  MOREX_ASSERT(in.h.dim() == 2 && in.weights.dim() == 2 && in.weights.size(0) == in.h.size(0));
  MOREX_ASSERT(in.ids.defined() ? in.ids.sizes() == in.weights.sizes() : in.weights.size(1) == experts);
  MOREX_ASSERT(in.shared || in.h.size(1) % experts == 0);
  MOREX_ASSERT(in.weights.scalar_type() == wide_type(in.h.scalar_type()));
  if (!in.h.is_cpu()) return reference::scale_experts(in, experts, scale);
  AutogradNode node("scale_experts", {in.h, in.weights});
  const at::Tensor z = forward(in, shape_of(in, experts), scale);
  return node.record(
      z, {in.h, in.weights, in.ids}, [experts, scale, shared = in.shared](const BackwardPass& pass) -> Tensors {
        return backward(pass.grads[0], {pass.saved[0], pass.saved[1], pass.saved[2], shared}, experts, scale);
      });
}

}  // namespace morex::ops
