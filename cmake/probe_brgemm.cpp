#include <cstdint>
namespace at::native::cpublas {
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const float* a,
            const float* b, float* c, bool vnni);
void brgemm_release(bool vnni);
}
int main(int argc, char**) {
  if (argc > 99) {
    at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, nullptr, nullptr, nullptr, false);
    at::native::cpublas::brgemm_release(false);
  }
}
