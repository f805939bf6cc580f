// Loops over one row with float32 inside, in the widest vectors the processor has (chosen once).
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace morex::ops {

// The largest of n numbers (NaN is passed over); -infinity for none.
float row_max(const float* x, int64_t n);

// x[i] = exp(scale·x[i] - shift); returns the sum. Error: 2 ulp; 0 below exp(-87); NaN stays NaN.
float row_exp(float* x, int64_t n, float scale, float shift);

// x[i] *= factor.
void row_scale(float* x, int64_t n, float factor);

// ds[i] = p[i]·(dp[i] - delta)·scale, into dp.
void row_softmax_backward(const float* p, float* dp, int64_t n, float delta, float scale);

// Σ x.
float row_sum(const float* x, int64_t n);
float row_sum(const c10::BFloat16* x, int64_t n);

// Σ a·b.
float row_dot(const float* a, const float* b, int64_t n);
float row_dot(const c10::BFloat16* a, const c10::BFloat16* b, int64_t n);

}  // namespace morex::ops
