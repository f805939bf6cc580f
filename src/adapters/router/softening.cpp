#include "adapters/router/softening.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cmath>

#include "base/error.h"

namespace morex::adapters {

double Temperature::now(const nn::BatchContext& ctx) const {
  if (!ctx.training() || ctx.total_steps < 2) return last;
  const double progress = static_cast<double>(ctx.step) / static_cast<double>(ctx.total_steps - 1);
  return first + (last - first) * progress;
}

at::Tensor Temperature::divide(const at::Tensor& logits, const nn::BatchContext& ctx) const {
  const double temperature = now(ctx);
  return temperature == 1.0 ? logits : logits / temperature;
}

Softening read_softening(const Json& options) {
  const JsonReader router(options, "router", ErrorKind::kConfig);
  Softening made;
  const Json& given = router.raw("logit_temperature");
  if (!given.is_null()) {
    const bool line = given.is_array() && given.size() == 2 && given[0].is_number() && given[1].is_number();
    MOREX_CHECK(given.is_number() || line, ErrorKind::kConfig,
                "[router] logit_temperature must be a number, or two for the first and the last step, got {}",
                given.dump());
    made.temperature = {(line ? given[0] : given).get<double>(), (line ? given[1] : given).get<double>()};
  }
  for (const double value : {made.temperature.first, made.temperature.last})
    MOREX_CHECK(std::isfinite(value) && value > 0.0, ErrorKind::kConfig,
                "[router] logit_temperature must be positive, got {}", given.dump());
  made.jitter = router.get_or<double>("jitter_noise", 0.0);
  MOREX_CHECK(made.jitter >= 0.0 && made.jitter < 1.0, ErrorKind::kConfig,
              "[router] jitter_noise must be at least 0 and below 1, got {}", made.jitter);
  return made;
}

}  // namespace morex::adapters
