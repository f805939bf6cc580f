#include "ops/linear_cross_entropy_reference.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>

#include "ops/frozen_linear_reference.h"
#include "ops/linear_cross_entropy.h"
#include "ops/wide.h"

namespace morex::ops::reference {

at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor rows = targets.ne(kIgnoredTarget).nonzero().squeeze(1);
  const at::Tensor log_p = at::log_softmax(logits.index_select(0, rows).to(wide_type(logits.scalar_type())), 1);
  return -log_p.gather(1, targets.index_select(0, rows).unsqueeze(1)).sum();
}

at::Tensor linear_cross_entropy(const at::Tensor& h, const at::Tensor& weight, const at::Tensor& targets,
                                bool transposed) {
  return cross_entropy_sum(frozen_linear(h, weight, transposed), targets);
}

}  // namespace morex::ops::reference
