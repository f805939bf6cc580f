#include "ops/attention_visibility.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/row_kernels.h"

namespace morex::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

Visibility::Visibility(const AttentionKind& kind, int64_t length, int64_t keys)
    : causal_(kind.causal), window_(kind.window), length_(length), keys_(keys) {
  if (kind.key_mask.defined()) key_mask_ = kind.key_mask.to(at::kBool).contiguous();
  if (kind.segments.defined()) segments_ = kind.segments.to(at::kLong).contiguous();
}

void Visibility::hide(int64_t b, int64_t i, float* scores, int64_t from, int64_t to) const {
  if (key_mask_.defined()) {
    const bool* visible = key_mask_.const_data_ptr<bool>() + b * keys_;
    for (int64_t j = from; j < to; ++j) scores[j - from] = visible[j] ? scores[j - from] : -kInfinity;
  }
  if (segments_.defined()) {
    const int64_t* segment = segments_.const_data_ptr<int64_t>() + b * keys_;
    const int64_t own = segment[position(i)];
    for (int64_t j = from; j < to; ++j) {
      const bool seen = segment[j] == own || segment[j] == kSharedSegment;
      scores[j - from] = seen ? scores[j - from] : -kInfinity;
    }
  }
}

ExpSum exp_visible(float* scores, int64_t n, float scale) {
  const float top = row_max(scores, n) * scale;
  if (top == -kInfinity) {  // all hidden, or not a number
    const bool broken = std::any_of(scores, scores + n, [](float value) { return std::isnan(value); });
    std::fill(scores, scores + n, broken ? kNan : 0.0f);
    return broken ? ExpSum{kNan, kNan} : ExpSum{0.0f, kInfinity};
  }
  const float sum = row_exp(scores, n, scale, top);
  return {sum, top + std::log(sum)};
}

float softmax_visible(float* scores, int64_t n, float scale) {
  const ExpSum of = exp_visible(scores, n, scale);
  if (of.sum > 0.0f) row_scale(scores, n, 1.0f / of.sum);
  return of.lse;
}

}  // namespace morex::ops
