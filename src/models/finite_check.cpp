#include "models/finite_check.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>

#include <atomic>

#include "base/error.h"

namespace morex::models {
namespace {

// An exponent of all ones is an infinity or a NaN. Branch-free, so that the compiler can vectorise it.
template <typename Word>
bool any_non_finite(const Word* words, int64_t count, Word exponent) {
  std::atomic<bool> found = false;
  at::parallel_for(0, count, int64_t{1} << 18, [&](int64_t begin, int64_t end) {
    int64_t bad = 0;
    for (int64_t i = begin; i < end; ++i) bad += (words[i] & exponent) == exponent;
    if (bad > 0) found = true;
  });
  return found;
}

bool any_non_finite(const at::Tensor& values) {
  const void* data = values.const_data_ptr();
  switch (values.scalar_type()) {
    case at::kFloat:
      return any_non_finite<uint32_t>(static_cast<const uint32_t*>(data), values.numel(), 0x7F800000u);
    case at::kDouble:
      return any_non_finite<uint64_t>(static_cast<const uint64_t*>(data), values.numel(), 0x7FF0000000000000u);
    case at::kHalf:
      return any_non_finite<uint16_t>(static_cast<const uint16_t*>(data), values.numel(), 0x7C00u);
    default:
      MOREX_ASSERT(values.scalar_type() == at::kBFloat16);
      return any_non_finite<uint16_t>(static_cast<const uint16_t*>(data), values.numel(), 0x7F80u);
  }
}

}  // namespace

void check_finite(const at::Tensor& values, const std::string& file, const std::string& name) {
  MOREX_ASSERT(values.is_contiguous() && values.is_cpu());
  if (!any_non_finite(values)) return;
  const at::Tensor flat = values.reshape({-1});
  const int64_t first = at::isfinite(flat).logical_not().nonzero()[0][0].item<int64_t>();
  fail(ErrorKind::kFormat, "[{}] {} must be finite, got {} at element {}", file, name, flat[first].item<double>(),
       first);
}

}  // namespace morex::models
