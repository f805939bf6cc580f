#include "adapters/site.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include <cmath>

namespace morex::adapters {

Init Init::kaiming(int64_t fan_in) {
  const double bound = fan_in > 0 ? 1.0 / std::sqrt(static_cast<double>(fan_in)) : 0.0;
  return uniform(-bound, bound);
}

void record_distribution(const at::Tensor& pi, int64_t level, const TokenRows& rows) {
  if (rows.recorder != nullptr && rows.recorder->keep_distributions) rows.recorder->distributions[level] = pi.detach();
}

at::Tensor sequence_numbers(const TokenRows& rows, at::Device device) {
  if (rows.ctx.places.defined())
    return rows.ctx.places.narrow(0, rows.first, rows.count).to(device).floor_divide(rows.ctx.length);
  return at::arange(rows.first, rows.first + rows.count, at::TensorOptions().dtype(at::kLong).device(device))
      .floor_divide(rows.ctx.length);
}

}  // namespace morex::adapters
