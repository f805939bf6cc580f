#include "ops/tree_scores.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/dense_rows.h"
#include "ops/token_pieces.h"
#include "ops/tree_reference.h"

namespace morex::ops {
namespace {

struct Sizes {
  int64_t tokens, parents, levels, units, experts, table_rows;
};

Sizes sizes_of(const TreeScoresInput& in) {
  const int64_t tokens = in.base.size(0), units = in.base.size(1), experts = in.keys.size(0);
  if (!in.table.defined()) return {tokens, 1, 0, units, experts, 0};
  return {tokens, tokens == 0 ? 1 : in.path.size(0) / tokens, in.path.size(1), units, experts, in.table.size(0)};
}

template <typename T>
[[gnu::always_inline]] inline T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) sum += a[k] * b[k];
  return sum;
}

template <typename T>
[[gnu::always_inline]] inline void add(T* __restrict y, const T* x, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) y[k] += x[k];
}

template <typename T>
[[gnu::always_inline]] inline void add_scaled(T* __restrict y, T factor, const T* x, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) y[k] += factor * x[k];
}

template <typename T, typename Act>
[[gnu::always_inline]] inline void activate(const Act& act, T* x, const T* bias, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) x[k] = act.value(x[k] + bias[k]);
}

template <typename T, typename Act>
[[gnu::always_inline]] inline void times_slope(const Act& act, T* __restrict d, const T* value, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) d[k] *= act.slope(value[k]);
}

template <typename T, typename Act>
struct Loops {
  Sizes size;
  Act act;
  const T* base;
  int64_t base_stride;
  const T* table;
  const int64_t* path;
  const T *bias, *keys;

  // The hidden units of node n (token n / P).
  [[gnu::always_inline]] void hidden(int64_t n, T* out) const {
    const T* token = base + n / size.parents * base_stride;
    for (int64_t k = 0; k < size.units; ++k) out[k] = token[k];
    for (int64_t l = 0; l < size.levels; ++l) add(out, table + path[n * size.levels + l] * size.units, size.units);
    activate(act, out, bias, size.units);
  }

  [[gnu::always_inline]] void forward(int64_t begin, int64_t end, const T* shift, T* scratch, T* scores) const {
    for (int64_t n = begin * size.parents; n < end * size.parents; ++n) {
      hidden(n, scratch);
      for (int64_t e = 0; e < size.experts; ++e)
        scores[n * size.experts + e] = dot(scratch, keys + e * size.units, size.units) + shift[e];
    }
  }

  // dtable and dkeys of these tokens alone; dbase starts at zero. scratch: two rows of units.
  [[gnu::always_inline]] void backward(int64_t begin, int64_t end, const T* dscores, T* scratch, T* dbase, T* dtable,
                                       T* dkeys) const {
    T *value = scratch, *d = scratch + size.units;
    for (int64_t n = begin * size.parents; n < end * size.parents; ++n) {
      hidden(n, value);
      for (int64_t k = 0; k < size.units; ++k) d[k] = 0;
      for (int64_t e = 0; e < size.experts; ++e) {
        const T g = dscores[n * size.experts + e];
        add_scaled(d, g, keys + e * size.units, size.units);
        add_scaled(dkeys + e * size.units, g, value, size.units);
      }
      times_slope(act, d, value, size.units);
      add(dbase + n / size.parents * size.units, d, size.units);
      for (int64_t l = 0; l < size.levels; ++l) add(dtable + path[n * size.levels + l] * size.units, d, size.units);
    }
  }
};

template <typename T, typename Act>
Loops<T, Act> make_loops(const Act& act, const Sizes& size, const TreeScoresInput& in) {
  const bool top = size.levels == 0;
  return {size,
          act,
          in.base.const_data_ptr<T>(),
          in.base.stride(0),
          top ? nullptr : in.table.const_data_ptr<T>(),
          top ? nullptr : in.path.const_data_ptr<int64_t>(),
          in.bias.const_data_ptr<T>(),
          in.keys.const_data_ptr<T>()};
}

TreeScoresInput readable(const TreeScoresInput& in) {
  const auto dense = [](const at::Tensor& t) { return t.defined() ? unrecorded(t).contiguous() : t; };
  return {with_dense_rows(unrecorded(in.base)),
          dense(in.table),
          dense(in.path),
          dense(in.bias),
          dense(in.keys),
          dense(in.shift)};
}

at::Tensor forward(const TreeScoresInput& in, TreeActivation activation) {
  const Sizes size = sizes_of(in);
  const at::Tensor scores = at::empty({size.tokens * size.parents, size.experts}, in.base.options());
  AT_DISPATCH_FLOATING_TYPES(scores.scalar_type(), "tree_scores", [&] {
    const scalar_t* shift = in.shift.const_data_ptr<scalar_t>();
    scalar_t* out = scores.mutable_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, in);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end) __attribute__((always_inline)) {
            std::vector<scalar_t> scratch(static_cast<size_t>(size.units));
            loops.forward(begin, end, shift, scratch.data(), out);
          });
    });
  });
  return scores;
}

Tensors backward(const at::Tensor& dscores_in, const TreeScoresInput& in, TreeActivation activation) {
  const Sizes size = sizes_of(in);
  const at::Tensor dscores = dscores_in.detach().contiguous();  // [T·P, s]
  const int64_t pieces = token_pieces(size.tokens);
  const at::TensorOptions like = in.base.options();
  const at::Tensor dbase = at::zeros({size.tokens, size.units}, like);
  const at::Tensor dtable = at::zeros({pieces, size.table_rows, size.units}, like);  // summed over the pieces below
  const at::Tensor dkeys = at::zeros({pieces, size.experts, size.units}, like);
  AT_DISPATCH_FLOATING_TYPES(dscores.scalar_type(), "tree_scores_backward", [&] {
    const scalar_t* ds = dscores.const_data_ptr<scalar_t>();
    scalar_t *db = dbase.mutable_data_ptr<scalar_t>(), *dt = dtable.mutable_data_ptr<scalar_t>();
    scalar_t* dk = dkeys.mutable_data_ptr<scalar_t>();
    with_activation(activation, [&](auto act) {
      const auto loops = make_loops<scalar_t>(act, size, in);
      for_pieces(
          size.tokens, [=](int64_t begin, int64_t end) __attribute__((always_inline)) {
            const int64_t piece = begin / kPieceTokens;
            std::vector<scalar_t> scratch(static_cast<size_t>(2 * size.units));
            loops.backward(begin, end, ds, scratch.data(), db, dt + piece * size.table_rows * size.units,
                           dk + piece * size.experts * size.units);
          });
    });
  });
  return {dbase, size.levels == 0 ? at::Tensor() : dtable.sum(0), dbase.sum(0), dkeys.sum(0), dscores.sum(0)};
}

}  // namespace

at::Tensor tree_scores(const TreeScoresInput& in, TreeActivation activation) {
  MOREX_ASSERT(in.base.dim() == 2 && in.keys.dim() == 2 && in.keys.size(1) == in.base.size(1));
  MOREX_ASSERT(in.table.defined() == in.path.defined() && (!in.path.defined() || in.path.dim() == 2));
  if (!in.base.is_cpu()) return reference::tree_scores(in, activation);
  AutogradNode node("tree_scores", {in.base, in.table, in.bias, in.keys, in.shift});
  const at::Tensor scores = forward(readable(in), activation);
  return node.record(
      scores, {in.base, in.table, in.path, in.bias, in.keys, in.shift}, [activation](const BackwardPass& pass) {
        const Tensors& saved = pass.saved;
        return backward(pass.grads[0], readable({saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]}),
                        activation);
      });
}

}  // namespace morex::ops
