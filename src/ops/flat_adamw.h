// The optimiser over flat buffers: AdamW, gradient norm, clipping, the check for non-finite numbers. All results are
// independent of the number of threads: work is cut into fixed chunks and sums are added in chunk order.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace morex::ops {

// A part of the flat buffer with settings of its own. Frozen while frozen_from <= step < frozen_until: value and
// moments are untouched, and its bias correction counts its own updates, as if those steps had not been.
struct AdamWSegment {
  int64_t offset = 0, size = 0;
  double lr_factor = 1.0;
  bool decay = true;
  int64_t frozen_from = 0, frozen_until = 0;
  bool frozen(int64_t step) const { return step >= frozen_from && step < frozen_until; }
};

struct AdamWOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
};

// One update in place. values, grads, exp_avg, exp_avg_sq: contiguous [size] of one dtype, float32 or float64; `step`
// counts the updates done before (0 for the first). What lies in no segment is not touched. Arithmetic in torch's
// order: p *= 1 - lr·wd; m += (1-β₁)(g - m); v = β₂v + (1-β₂)g²; p -= lr/(1-β₁ᵗ) · m / (sqrt(v)/sqrt(1-β₂ᵗ) + eps).
// Source: Loshchilov & Hutter 2019, algorithm 2.
void flat_adamw(const at::Tensor& values, const at::Tensor& grads, const at::Tensor& exp_avg,
                const at::Tensor& exp_avg_sq, const std::vector<AdamWSegment>& segments, const AdamWOptions& options,
                int64_t step);

// Euclidean norm of a contiguous float32 or float64 tensor, summed in double.
double grad_norm(const at::Tensor& flat);
// Scales `flat` by max_norm/(norm + 1e-6) where that is below 1, as torch does; returns the norm before. max_norm <= 0
// scales nothing.
double clip_grad_norm(const at::Tensor& flat, double max_norm);
// flat *= factor.
void scale_in_place(const at::Tensor& flat, double factor);
// Whether a contiguous floating tensor holds a NaN or an infinity.
bool has_non_finite(const at::Tensor& flat);

}  // namespace morex::ops
