#include <c10/util/BFloat16.h>

#include <cstdint>
namespace at::native::cpublas {
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const float* a,
            const float* b, float* c, bool vnni);
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const c10::BFloat16* a,
            const c10::BFloat16* b, float* c, bool vnni);
void brgemm_release(bool vnni);
}  // namespace at::native::cpublas
int main(int argc, char**) {
  if (argc > 99) {
    const float* a = nullptr;
    const c10::BFloat16* b = nullptr;
    at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, a, a, nullptr, false);
    at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, b, b, nullptr, true);
    at::native::cpublas::brgemm_release(false);
  }
}
