#include "ops/flat_adamw.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>

#include "base/error.h"
#include "ops/chunks.h"
#include "ops/flat_adamw_reference.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// What one segment's elements have in common, in the buffers' type.
template <typename T>
struct UpdateFactors {
  T keep;      // 1 - lr·wd
  T momentum;  // 1 - β₁
  T beta2;
  T fresh;      // 1 - β₂
  T step_size;  // lr / (1 - β₁ᵗ)
  T root_bias;  // sqrt(1 - β₂ᵗ)
  T eps;
};

// A segment's own updates, this one included.
int64_t update_count(const AdamWSegment& segment, int64_t step) {
  return step + 1 - (step < segment.frozen_until ? 0 : segment.frozen_until - segment.frozen_from);
}

template <typename T>
UpdateFactors<T> factors_of(const AdamWSegment& segment, const AdamWOptions& options, int64_t step) {
  const double t = static_cast<double>(update_count(segment, step));
  const double lr = options.lr * segment.lr_factor;
  return {static_cast<T>(segment.decay ? 1.0 - lr * options.weight_decay : 1.0),
          static_cast<T>(1.0 - options.beta1),
          static_cast<T>(options.beta2),
          static_cast<T>(1.0 - options.beta2),
          static_cast<T>(lr / (1.0 - std::pow(options.beta1, t))),
          static_cast<T>(std::sqrt(1.0 - std::pow(options.beta2, t))),
          static_cast<T>(options.eps)};
}

template <typename T>
[[gnu::always_inline]] inline void update(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
                                          int64_t n, const UpdateFactors<T>& f) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T value = p[i] * f.keep;
    m[i] = m[i] + f.momentum * (g[i] - m[i]);
    v[i] = v[i] * f.beta2 + f.fresh * g[i] * g[i];
    const T denominator = std::sqrt(v[i]) / f.root_bias + f.eps;
    p[i] = value - f.step_size * m[i] / denominator;
  }
}

template <typename T>
[[gnu::always_inline]] inline double squares_of(const T* x, int64_t n) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

template <typename T>
double sum_of_squares(const T* x, int64_t n) {
  double sum = 0.0;
  in_vectors([&]() __attribute__((always_inline)) { sum = squares_of(x, n); });
  return sum;
}

// 0·x is NaN for an infinity and for a NaN, and 0 for everything else.
template <typename T>
Wide<T> zero_if_finite(const T* x, int64_t n) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += Wide<T>(0) * static_cast<Wide<T>>(x[i]);
  return sum;
}

bool is_flat(const at::Tensor& t) {
  return t.is_contiguous() && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble);
}

bool alike(const AdamWSegment& a, const AdamWSegment& b) {
  return a.lr_factor == b.lr_factor && a.decay == b.decay && a.frozen_from == b.frozen_from &&
         a.frozen_until == b.frozen_until;
}

// flat_adamw in plain ATen, on any device: neighbours that are alike as one, so that few kernels are started.
void plain_adamw(const at::Tensor& values, const at::Tensor& grads, const at::Tensor& exp_avg,
                 const at::Tensor& exp_avg_sq, const std::vector<AdamWSegment>& segments, const AdamWOptions& options,
                 int64_t step) {
  const at::NoGradGuard no_grad;
  for (size_t first = 0, next = 0; first < segments.size(); first = next) {
    AdamWSegment run = segments[first];
    for (next = first + 1; next < segments.size(); ++next) {
      if (segments[next].offset != run.offset + run.size || !alike(segments[next], run)) break;
      run.size += segments[next].size;
    }
    if (run.frozen(step)) continue;
    const auto part = [&](const at::Tensor& flat) { return flat.narrow(0, run.offset, run.size); };
    AdamWOptions own = options;
    own.lr = options.lr * run.lr_factor;
    if (!run.decay) own.weight_decay = 0.0;
    reference::adamw(part(values), part(grads), part(exp_avg), part(exp_avg_sq), own, update_count(run, step));
  }
}

}  // namespace

void flat_adamw(const at::Tensor& values, const at::Tensor& grads, const at::Tensor& exp_avg,
                const at::Tensor& exp_avg_sq, const std::vector<AdamWSegment>& segments, const AdamWOptions& options,
                int64_t step) {
  for (const at::Tensor* t : {&values, &grads, &exp_avg, &exp_avg_sq}) {
    MOREX_ASSERT(is_flat(*t) && t->numel() == values.numel() && t->scalar_type() == values.scalar_type());
  }
  if (!values.is_cpu()) return plain_adamw(values, grads, exp_avg, exp_avg_sq, segments, options, step);
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "flat_adamw", [&] {
    scalar_t* p = values.mutable_data_ptr<scalar_t>();
    const scalar_t* g = grads.const_data_ptr<scalar_t>();
    scalar_t *m = exp_avg.mutable_data_ptr<scalar_t>(), *v = exp_avg_sq.mutable_data_ptr<scalar_t>();
    // All segments' chunks as one list: a model has hundreds of small leaves, and one parallel region is enough.
    struct Piece {
      int64_t begin, size;
      const UpdateFactors<scalar_t>* factors;
    };
    std::vector<UpdateFactors<scalar_t>> factors;
    factors.reserve(segments.size());
    std::vector<Piece> pieces;
    for (const AdamWSegment& s : segments) {
      MOREX_ASSERT(s.offset >= 0 && s.size >= 0 && s.offset + s.size <= values.numel());
      if (s.frozen(step)) continue;
      factors.push_back(factors_of<scalar_t>(s, options, step));
      for (int64_t begin = 0; begin < s.size; begin += kChunkElements) {
        pieces.push_back({s.offset + begin, std::min(kChunkElements, s.size - begin), &factors.back()});
      }
    }
    for_chunks(static_cast<int64_t>(pieces.size()), 1, [&](int64_t index, int64_t) {
      const Piece& c = pieces[static_cast<size_t>(index)];
      in_vectors([&]() __attribute__((always_inline)) {
        update<scalar_t>(p + c.begin, g + c.begin, m + c.begin, v + c.begin, c.size, *c.factors);
      });
    });
  });
}

double grad_norm(const at::Tensor& flat) {
  MOREX_ASSERT(is_flat(flat));
  if (!flat.is_cpu()) return at::linalg_vector_norm(flat, 2, {}, false, at::kDouble).item<double>();
  const int64_t n = flat.numel();
  std::vector<double> sums(static_cast<size_t>((n + kChunkElements - 1) / kChunkElements));
  AT_DISPATCH_FLOATING_TYPES(flat.scalar_type(), "grad_norm", [&] {
    const scalar_t* g = flat.const_data_ptr<scalar_t>();
    for_chunks(n, kChunkElements, [&](int64_t begin, int64_t end) {
      sums[static_cast<size_t>(begin / kChunkElements)] = sum_of_squares(g + begin, end - begin);
    });
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

double clip_grad_norm(const at::Tensor& flat, double max_norm) {
  const double norm = grad_norm(flat);
  if (max_norm <= 0.0) return norm;
  const double factor = max_norm / (norm + 1e-6);
  if (factor < 1.0) scale_in_place(flat, factor);
  return norm;
}

void scale_in_place(const at::Tensor& flat, double factor) {
  const at::NoGradGuard no_grad;
  flat.mul_(factor);
}

bool has_non_finite(const at::Tensor& flat) {
  MOREX_ASSERT(flat.is_contiguous());
  if (!flat.is_cpu()) return !at::isfinite(flat).all().item<bool>();
  bool found = false;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, flat.scalar_type(), "has_non_finite", [&] {
    using wide = Wide<scalar_t>;
    const scalar_t* x = flat.const_data_ptr<scalar_t>();
    const int64_t n = flat.numel();
    std::vector<wide> sums(static_cast<size_t>((n + kChunkElements - 1) / kChunkElements));
    for_chunks(n, kChunkElements, [&](int64_t begin, int64_t end) {
      sums[static_cast<size_t>(begin / kChunkElements)] = zero_if_finite<scalar_t>(x + begin, end - begin);
    });
    for (const wide sum : sums) found = found || std::isnan(sum);
  });
  return found;
}

}  // namespace morex::ops
