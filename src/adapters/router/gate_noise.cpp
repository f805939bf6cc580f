#include "adapters/router/gate_noise.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/random.h"

namespace morex::adapters {

at::Tensor gate_noise(const at::Tensor& logits, int64_t level, int64_t parents, const TokenRows& rows) {
  const int64_t experts = logits.size(1), per_token = parents * experts;
  const std::string name = rows.site.module + "." + std::to_string(level);
  if (const auto given = rows.ctx.given_noise.find(name); given != rows.ctx.given_noise.end()) {
    MOREX_CHECK(given->second.numel() == rows.ctx.tokens() * per_token, ErrorKind::kConfig,
                "[router] the noise given for {} must have {} numbers, got {}", name, rows.ctx.tokens() * per_token,
                given->second.numel());
    return given->second.reshape({-1, per_token})
        .narrow(0, rows.first, rows.count)
        .reshape({-1, experts})
        .to(logits.options().requires_grad(false));
  }
  const RandomKey key{rows.ctx.seed, stream_id("noise " + name + " " + std::to_string(rows.ctx.micro_step)),
                      static_cast<uint64_t>(rows.ctx.step)};
  const at::Tensor values = at::empty({rows.count * parents, experts}, at::kDouble);
  fill_normal(key, static_cast<uint64_t>(rows.first * per_token),
              {values.data_ptr<double>(), static_cast<size_t>(values.numel())});
  return values.to(logits.options().requires_grad(false));
}

}  // namespace morex::adapters
