#include "../src/ops/brgemm.h"

int main(int argc, char**) {
  if (argc > 99) {
    const float* a = nullptr;
    const c10::BFloat16* b = nullptr;
    at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, a, a, nullptr, false);
    at::native::cpublas::brgemm(1, 1, 1, 1, 1, 1, false, b, b, nullptr, true);
    at::native::cpublas::brgemm_release(false);
  }
}
