#include "models/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace morex::models {
namespace {

// base^(2i/dim), i = 0 … dim/2 - 1.  [dim / 2]
at::Tensor position_periods(const at::Tensor& base, int64_t dim) {
  const at::Tensor exponents = at::arange(0, dim, 2, at::kLong).to(base.scalar_type()) / dim;
  return at::pow(base, exponents);
}

at::Tensor scalar(double value, at::ScalarType dtype) { return at::scalar_tensor(value, at::TensorOptions(dtype)); }

// The base grows so that the longest wavelength spans `length` positions as it spanned the trained ones.
at::Tensor dynamic_base(const ModelConfig& config, int64_t dim, int64_t length, at::ScalarType dtype) {
  const double trained = static_cast<double>(config.max_position_embeddings), factor = config.rope_scaling.factor;
  const double power = static_cast<double>(dim) / static_cast<double>(dim - 2);
  const at::Tensor stretch = scalar(static_cast<double>(length), dtype) * factor / trained - (factor - 1.0);
  return at::pow(stretch, power) * config.rope_theta;
}

// Wavelengths longer than the trained context are slowed down by `factor`, short ones kept, those between blended.
at::Tensor llama3_inverse(const RopeScaling& scaling, const at::Tensor& inverse) {
  const double trained = static_cast<double>(scaling.original_max_position_embeddings);
  const double low = scaling.low_freq_factor, high = scaling.high_freq_factor;
  const at::Tensor wavelength = 2.0 * std::numbers::pi / inverse;
  const at::Tensor scaled = at::where(wavelength > trained / low, inverse / scaling.factor, inverse);
  const at::Tensor smooth = (trained / wavelength - low) / (high - low);
  const at::Tensor blended = (1.0 - smooth) * scaled / scaling.factor + smooth * scaled;
  const at::Tensor between = (wavelength >= trained / high).logical_and(wavelength <= trained / low);
  return at::where(between, blended, scaled);
}

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double yarn_attention_factor(const RopeScaling& scaling) {
  if (scaling.attention_factor != 0.0) return scaling.attention_factor;
  if (scaling.mscale != 0.0 && scaling.mscale_all_dim != 0.0) {
    return yarn_magnitude(scaling.factor, scaling.mscale) / yarn_magnitude(scaling.factor, scaling.mscale_all_dim);
  }
  return yarn_magnitude(scaling.factor, 1.0);
}

// Dimensions that turn more than beta_fast times within the trained context keep their frequency, those below
// beta_slow turns are interpolated, with a linear ramp between.
at::Tensor yarn_inverse(const ModelConfig& config, int64_t dim, const at::Tensor& periods) {
  const RopeScaling& scaling = config.rope_scaling;
  const double trained =
      static_cast<double>(scaling.original_max_position_embeddings > 0 ? scaling.original_max_position_embeddings
                                                                       : config.max_position_embeddings);
  const auto dimension_of = [&](double turns) {
    return static_cast<double>(dim) * std::log(trained / (turns * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(config.rope_theta));
  };
  double low = dimension_of(scaling.beta_fast), high = dimension_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;  // no ramp: a step, without dividing by zero
  const at::Tensor ramp =
      ((at::arange(dim / 2, at::TensorOptions(periods.scalar_type())) - low) / (high - low)).clamp(0.0, 1.0);
  const at::Tensor keep = 1.0 - ramp;
  return 1.0 / (scaling.factor * periods) * (1.0 - keep) + 1.0 / periods * keep;
}

}  // namespace

RopeFrequencies rope_frequencies(const ModelConfig& config, int64_t dim, int64_t length, at::ScalarType dtype) {
  MOREX_ASSERT(dtype == at::kFloat || dtype == at::kDouble);
  const RopeScaling& scaling = config.rope_scaling;
  const bool stretched = scaling.type == "dynamic" && length > config.max_position_embeddings;
  const at::Tensor base = stretched ? dynamic_base(config, dim, length, dtype) : scalar(config.rope_theta, dtype);
  const at::Tensor periods = position_periods(base, dim);
  RopeFrequencies out{1.0 / periods, 1.0};  // default, dynamic
  if (scaling.type == "linear") out.inverse = out.inverse / scaling.factor;
  if (scaling.type == "llama3") out.inverse = llama3_inverse(scaling, out.inverse);
  if (scaling.type == "yarn") out = {yarn_inverse(config, dim, periods), yarn_attention_factor(scaling)};
  if (!scaling.frequency_divisors.empty()) {
    out.inverse = out.inverse / at::tensor(scaling.frequency_divisors, at::TensorOptions(dtype));
  }
  return out;
}

RopeTables::RopeTables(const ModelConfig& config, int64_t dim, at::ScalarType dtype, at::Device device)
    : config_(config), dim_(dim), dtype_(dtype == at::kDouble ? at::kDouble : at::kFloat) {
  fixed_ = rope_frequencies(config, dim, 0, dtype_);
  fixed_.inverse = fixed_.inverse.to(device);
}

RopeTables::CosSin RopeTables::operator()(const at::Tensor& positions) const {
  RopeFrequencies frequencies = fixed_;
  if (config_.rope_scaling.type == "dynamic" && positions.numel() > 0) {
    const int64_t length = positions.max().item<int64_t>() + 1;
    frequencies = rope_frequencies(config_, dim_, length, dtype_);
    frequencies.inverse = frequencies.inverse.to(positions.device());
  }
  const at::Tensor half = positions.to(dtype_).unsqueeze(-1) * frequencies.inverse;  // [..., dim / 2]
  const at::Tensor angles = at::cat({half, half}, -1);                               // [..., dim]
  return {angles.cos() * frequencies.attention_factor, angles.sin() * frequencies.attention_factor};
}

}  // namespace morex::models
