#include "eval/silhouette.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace morex::eval {

at::Tensor silhouettes(const at::Tensor& points, const std::vector<int64_t>& assignment, int64_t clusters) {
  const at::NoGradGuard no_gradients;
  constexpr int64_t kBlock = 512;
  const at::Tensor x = points.to(at::kDouble);
  const int64_t count = x.size(0);
  MOREX_ASSERT(count > 0 && static_cast<int64_t>(assignment.size()) == count);
  const at::Tensor own = at::tensor(assignment, at::kLong).unsqueeze(1);                      // [N, 1]
  const at::Tensor member = at::zeros({count, clusters}, at::kDouble).scatter_(1, own, 1.0);  // [N, K]
  const at::Tensor sizes = member.sum(0, /*keepdim=*/true), squared = x.square().sum(1);      // [1, K], [N]
  std::vector<at::Tensor> blocks;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t rows = std::min(kBlock, count - begin);
    const at::Tensor cross = at::mm(x.narrow(0, begin, rows), x.t());
    at::Tensor distance = (squared.narrow(0, begin, rows).unsqueeze(1) + squared - cross * 2.0).clamp_min(0.0).sqrt();
    distance.diagonal(begin).zero_();                                                     // [n, N], rounding aside
    const at::Tensor sums = at::mm(distance, member), mine = own.narrow(0, begin, rows);  // [n, K], [n, 1]
    const at::Tensor mine_size = sizes.expand({rows, clusters}).gather(1, mine);          // [n, 1]
    const at::Tensor a = sums.gather(1, mine) / (mine_size - 1.0).clamp_min(1.0);         // [n, 1]
    const double infinity = std::numeric_limits<double>::infinity();
    const at::Tensor others = at::where(sizes > 0.0, sums / sizes.clamp_min(1.0), at::full_like(sums, infinity))
                                  .scatter(1, mine, infinity);  // [n, K]
    const at::Tensor b = others.amin(1, /*keepdim=*/true);      // [n, 1]
    const at::Tensor value = (b - a) / a.maximum(b).clamp_min(1e-300);
    blocks.push_back(at::where((mine_size > 1.0).logical_and(b < infinity), value, at::zeros({}, at::kDouble)));
  }
  return at::cat(blocks, 0).squeeze(1);
}

}  // namespace morex::eval
