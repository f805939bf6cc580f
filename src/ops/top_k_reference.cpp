#include "ops/top_k_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/sort.h>

namespace morex::ops::reference {

TopK top_k(const at::Tensor& values, int64_t k, bool shares) {
  const auto sorted = at::sort(values.detach(), /*stable=*/true, /*dim=*/-1, /*descending=*/true);
  const at::Tensor ids = std::get<1>(sorted).narrow(1, 0, k).contiguous();  // [n, k]
  const at::Tensor chosen = at::gather(values, 1, ids);
  return {ids, shares ? chosen / chosen.sum(1, true) : chosen};
}

}  // namespace morex::ops::reference
