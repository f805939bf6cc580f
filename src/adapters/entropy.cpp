#include "adapters/entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log.h>
#include <ATen/ops/pow.h>

#include <cmath>

#include "base/strings.h"

namespace morex::adapters {

EntropyForm read_entropy_form(const JsonReader& options) {
  EntropyForm form;
  const auto type = options.get_or<std::string>("entropy_type", "tsallis");
  MOREX_CHECK(type == "tsallis" || type == "renyi", ErrorKind::kConfig,
              "[{}] entropy_type must be tsallis or renyi, got '{}'.{}", options.where(), type,
              did_you_mean(type, {"tsallis", "renyi"}));
  form.type = type == "renyi" ? EntropyForm::Type::kRenyi : EntropyForm::Type::kTsallis;
  form.index = options.get_or<double>("entropy_index", form.index);
  form.eps = options.get_or<double>("entropy_eps", form.eps);
  MOREX_CHECK(std::isfinite(form.index), ErrorKind::kConfig, "[{}] entropy_index must be a finite number, got {}",
              options.where(), form.index);
  MOREX_CHECK(std::isfinite(form.eps) && form.eps >= 0.0, ErrorKind::kConfig,
              "[{}] entropy_eps must be a finite number, at least 0, got {}", options.where(), form.eps);
  return form;
}

at::Tensor normalised_entropy(const at::Tensor& pi, const EntropyForm& form) {
  const auto experts = static_cast<double>(pi.size(1));
  if (pi.size(1) == 1) return pi.select(1, 0) * 0.0;
  const at::Tensor p = pi + form.eps;
  // DEVIATION: the official code adds 1e-10 inside the logarithm of Rényi's entropy besides eps.
  if (form.index == 1.0) return (p * at::log(p)).sum(1) / -std::log(experts);
  const at::Tensor power = at::pow(p, form.index).sum(1);  // [n]
  if (form.type == EntropyForm::Type::kRenyi) return at::log(power) / ((1.0 - form.index) * std::log(experts));
  return (1.0 - power) / (1.0 - std::pow(experts, 1.0 - form.index));
}

}  // namespace morex::adapters
