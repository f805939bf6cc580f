// LibTorch's small-block product, which it exports and declares in no header of the wheel: c [m, n] (+)= a [m, k]·b [k,
// n], row-major; `vnni`: b is in pairs of rows. Only for block_product.cpp, and for CMake's test of whether it links.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

namespace at::native::cpublas {
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const float* a,
            const float* b, float* c, bool vnni);
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const c10::BFloat16* a,
            const c10::BFloat16* b, float* c, bool vnni);
void brgemm_release(bool vnni);
}  // namespace at::native::cpublas
