#include "eval/base_embedder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <span>

#include "base/checksum.h"
#include "base/error.h"

namespace morex::eval {

at::Tensor unit_length(const at::Tensor& x) { return x / at::norm(x, 2, {-1}, true).clamp_min(1e-12); }

at::Tensor embed_prompt(const models::CausalLm& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_gradients;
  MOREX_CHECK(
      !ids.empty(), ErrorKind::kData,
      "[clusters] every sequence must have a prompt, got one without. Hint: rows of data_format text have none");
  const int64_t limit = model.config().max_position_embeddings;
  const auto length = static_cast<int64_t>(ids.size());
  const int64_t kept = limit > 0 ? std::min(limit, length) : length;
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = kept;
  nn::RoutingReport report;
  const std::vector<int64_t> last(ids.end() - kept, ids.end());
  const at::Tensor input = at::tensor(last, at::kLong).unsqueeze(0).to(model.device());        // [1, L]
  const at::Tensor mean = model.hidden(input, ctx, report).to(at::kCPU, at::kDouble).mean(0);  // [D]
  MOREX_CHECK(at::isfinite(mean).all().item<bool>(), ErrorKind::kNumeric,
              "[clusters] the hidden states of a prompt must be finite");
  return unit_length(mean);
}

BaseEmbedder::BaseEmbedder(const models::CausalLm& model, OnBase on_base)
    : model_(model), on_base_(std::move(on_base)), identity_{"base", model.digest(), "", model.config().hidden_size} {}

std::string BaseEmbedder::key(const nn::Prompt& prompt) const {
  return sha256_hex(std::as_bytes(std::span(prompt.ids)));
}

at::Tensor BaseEmbedder::embed(const nn::Prompt& prompt) const {
  at::Tensor embedding;
  on_base_([&] { embedding = embed_prompt(model_, prompt.ids); });
  return embedding;
}

}  // namespace morex::eval
