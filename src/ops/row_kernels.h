// Float32 loops over one row, in the widest vectors the processor has (chosen once).
#pragma once
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

}  // namespace morex::ops
