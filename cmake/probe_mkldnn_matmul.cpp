#include <ATen/core/Tensor.h>
namespace at::native {
void mkldnn_matmul(const at::Tensor& a, const at::Tensor& b, const at::Tensor& out, float beta, float alpha);
}
int main(int argc, char**) {
  if (argc > 99) at::native::mkldnn_matmul({}, {}, {}, 0.f, 1.f);
}
