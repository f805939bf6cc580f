#include "eval/generate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/random.h"
#include "eval/sampling.h"
#include "eval/text_stream.h"

namespace morex::eval {
namespace {

// Positions the model was made for. Dynamic rope scaling stretches to whatever comes.
int64_t position_limit(const models::ModelConfig& config) {
  return config.rope_scaling.type == "dynamic" ? std::numeric_limits<int32_t>::max() : config.max_position_embeddings;
}

void check(const models::CausalLm& model, const text::Tokenizer* tokenizer, const std::vector<int64_t>& prompt,
           const GenerationOptions& options) {
  const auto config_check = [](bool condition, const char* rule, double value) {
    MOREX_CHECK(condition, ErrorKind::kConfig, "[generate] {}, got {}", rule, value);
  };
  config_check(options.max_new_tokens >= 0, "max_new_tokens must not be negative", double(options.max_new_tokens));
  config_check(options.temperature >= 0 && std::isfinite(options.temperature),
               "temperature must be a number not below 0", options.temperature);
  config_check(options.top_k >= 0, "top_k must not be negative", double(options.top_k));
  config_check(options.top_p > 0 && options.top_p <= 1, "top_p must lie in (0, 1]", options.top_p);
  config_check(options.repetition_penalty > 0, "repetition_penalty must be positive", options.repetition_penalty);
  const auto& stops = options.stop_strings;
  MOREX_CHECK(std::find(stops.begin(), stops.end(), "") == stops.end(), ErrorKind::kConfig,
              "[generate] a stop string must not be empty");
  MOREX_CHECK(stops.empty() || tokenizer != nullptr, ErrorKind::kConfig, "[generate] stop strings need a tokenizer");
  MOREX_CHECK(!prompt.empty(), ErrorKind::kData, "[generate] the prompt must hold at least one id, got none");
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t limit = position_limit(model.config());
  MOREX_CHECK(length <= limit, ErrorKind::kData,
              "[generate] the prompt must fit the model's {} positions, got {} ids. Hint: shorten it.", limit, length);
  for (const int64_t id : prompt) {
    MOREX_CHECK(id >= 0 && id < model.config().vocab_size, ErrorKind::kData,
                "[generate] prompt ids must lie in 0 … {}, got {}. Hint: is this the model's own tokenizer?",
                model.config().vocab_size - 1, id);
  }
}

// The logits [V] in float64 behind the last of `ids`, which are appended to the cache. `ctx` holds what is known of the
// sequence.
at::Tensor next_logits(const models::CausalLm& model, const std::vector<int64_t>& ids, nn::KvCache& cache,
                       nn::BatchContext ctx) {
  ctx.length = static_cast<int64_t>(ids.size());
  ctx.phase = cache.length() == 0 ? nn::Phase::kPrefill : nn::Phase::kDecode;
  nn::RoutingReport report;
  const at::Tensor input = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());        // [1, L]
  const at::Tensor last = model.hidden(input, ctx, report, &cache).slice(0, ctx.length - 1);  // [1, D]
  ctx.length = 1;  // the head sees one row only
  return model.logits(last, ctx, report).to(at::kCPU, at::kDouble).view({-1});
}

// The next id; u in [0, 1) decides where it is drawn.
int64_t choose(const at::Tensor& raw, const std::vector<int64_t>& seen, const GenerationOptions& options, double u) {
  const bool penalised = options.repetition_penalty != 1.0;
  const at::Tensor logits = penalised ? raw.clone() : raw;
  const std::span<double> values(logits.mutable_data_ptr<double>(), static_cast<size_t>(logits.numel()));
  if (penalised) penalise_repetition(values, seen, options.repetition_penalty);
  if (options.temperature == 0) return logits.argmax().item<int64_t>();  // the lowest of equals
  return draw(candidates(values, options), u);
}

}  // namespace

Generated generate(const models::CausalLm& model, const text::Tokenizer* tokenizer, const nn::Prompt& prompt,
                   const GenerationOptions& options, const std::function<void(const std::string&)>& on_text) {
  check(model, tokenizer, prompt.ids, options);
  const at::NoGradGuard no_gradients;
  std::vector<int64_t> ends = model.config().eos_token_ids;
  ends.insert(ends.end(), options.stop_ids.begin(), options.stop_ids.end());
  const auto length = static_cast<int64_t>(prompt.ids.size());
  // The last new id is never fed back, so it needs no position.
  const int64_t room = position_limit(model.config()) - length + 1;
  const int64_t budget = std::min(options.max_new_tokens, room);
  const RandomKey key{options.seed, stream_id("generate"), 0};

  TextStream text(tokenizer, options.stop_strings, on_text);
  nn::BatchContext known;
  known.batch = 1;
  known.fixed = std::make_shared<nn::FixedValues>();
  model.read_prompts({prompt}, known);
  nn::KvCache cache = model.make_cache(1, length + budget);
  std::vector<int64_t> seen = prompt.ids, input = prompt.ids;
  Generated result;
  result.finish = "length";
  for (int64_t n = 0; n < budget; ++n) {
    const at::Tensor raw = next_logits(model, input, cache, known);
    const auto normaliser = at::logsumexp(raw, 0).item<double>();
    MOREX_CHECK(std::isfinite(normaliser), ErrorKind::kNumeric,
                "[generate] logits must be finite, got {} at position {}", normaliser, length + n - 1);
    const int64_t id = choose(raw, seen, options, uniform_at(key, static_cast<uint64_t>(n)));
    result.ids.push_back(id);
    result.log_probs.push_back(raw.const_data_ptr<double>()[id] - normaliser);
    if (std::find(ends.begin(), ends.end(), id) != ends.end() || text.push(id)) {
      result.finish = "stop";
      break;
    }
    seen.push_back(id);
    input = {id};
  }
  result.text = text.finish();
  return result;
}

}  // namespace morex::eval
