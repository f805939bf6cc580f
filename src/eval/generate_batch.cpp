#include "eval/generate_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace morex::eval {
namespace {

using Ids = std::vector<int64_t>;

struct Row {
  size_t prompt = 0;  // index in the caller's list
  bool done = false;
};

// One forward pass of all rows over `input` [B, L] behind the cache; returns the next ids [B]. `ctx` holds what is
// known of the sequences.
at::Tensor step(const models::CausalLm& model, const at::Tensor& input, const at::Tensor& mask, nn::KvCache& cache,
                nn::BatchContext ctx) {
  ctx.batch = input.size(0);
  ctx.length = input.size(1);
  ctx.phase = cache.length() == 0 ? nn::Phase::kPrefill : nn::Phase::kDecode;
  ctx.right_padded = false;
  ctx.token_mask = mask;                                               // [B, S], S = cached + L
  const at::Tensor positions = (mask.cumsum(1) - 1).clamp_min(0);      // [B, S]
  ctx.positions = positions.slice(1, positions.size(1) - ctx.length);  // [B, L]
  nn::RoutingReport report;
  const at::Tensor h = model.hidden(input, ctx, report, &cache);                          // [B·L, D]
  const at::Tensor last = h.view({ctx.batch, ctx.length, -1}).select(1, ctx.length - 1);  // [B, D]
  ctx.length = 1;
  ctx.positions = at::Tensor();
  const at::Tensor logits = model.logits(last, ctx, report);  // [B, V]
  MOREX_CHECK(logits.isfinite().all().item<bool>(), ErrorKind::kNumeric, "[generate] logits must be finite");
  return logits.argmax(1);
}

// Prompts of one batch, left-padded: ids and mask [B, longest].
std::pair<at::Tensor, at::Tensor> left_pad(const std::vector<Row>& rows, const std::vector<nn::Prompt>& prompts,
                                           int64_t pad_id) {
  size_t longest = 0;
  for (const Row& row : rows) longest = std::max(longest, prompts[row.prompt].ids.size());
  const auto batch = static_cast<int64_t>(rows.size());
  at::Tensor ids = at::full({batch, static_cast<int64_t>(longest)}, pad_id, at::kLong);
  at::Tensor mask = at::zeros({batch, static_cast<int64_t>(longest)}, at::kBool);
  for (int64_t b = 0; b < batch; ++b) {
    const Ids& prompt = prompts[rows[static_cast<size_t>(b)].prompt].ids;
    const auto begin = static_cast<int64_t>(longest - prompt.size());
    ids[b].slice(0, begin).copy_(at::tensor(prompt, at::kLong));
    mask[b].slice(0, begin).fill_(true);
  }
  return {ids, mask};
}

void generate_rows(const models::CausalLm& model, const std::vector<nn::Prompt>& prompts, std::vector<Row> rows,
                   const Ids& ends, const BatchGenerationOptions& options, std::vector<Ids>& results) {
  auto [input, mask] = left_pad(rows, prompts, options.pad_id);
  const int64_t room = model.config().max_position_embeddings - input.size(1) + 1;
  const int64_t budget = std::min(options.max_new_tokens, room);
  nn::BatchContext known;
  known.batch = input.size(0);
  known.fixed = std::make_shared<nn::FixedValues>();
  if (model.wants_prompts()) {
    std::vector<nn::Prompt> read;
    for (const Row& row : rows) read.push_back(prompts[row.prompt]);
    model.read_prompts(read, known);
  }
  nn::KvCache cache = model.make_cache(input.size(0), input.size(1) + budget);
  input = input.to(model.device());
  mask = mask.to(model.device());
  for (int64_t n = 0; n < budget; ++n) {
    const at::Tensor next = step(model, input, mask, cache, known).cpu().contiguous();  // [B]
    std::vector<int64_t> alive;
    for (size_t b = 0; b < rows.size(); ++b) {
      const int64_t id = next.const_data_ptr<int64_t>()[b];
      results[rows[b].prompt].push_back(id);
      rows[b].done = std::find(ends.begin(), ends.end(), id) != ends.end();
      if (!rows[b].done) alive.push_back(static_cast<int64_t>(b));
    }
    if (alive.empty()) break;
    at::Tensor kept = next;
    if (alive.size() < rows.size()) {  // finished rows leave the batch
      const at::Tensor keep = at::tensor(alive, at::kLong);
      kept = next.index_select(0, keep);
      cache.select(keep.to(model.device()));
      for (auto& [name, value] : known.per_sequence) value = value.index_select(0, keep.to(value.device()));
      mask = mask.index_select(0, keep.to(model.device()));
      std::erase_if(rows, [](const Row& row) { return row.done; });
    }
    input = kept.unsqueeze(1).to(model.device());                   // [B, 1]
    mask = at::cat({mask, at::ones_like(mask.slice(1, 0, 1))}, 1);  // [B, S + 1]
  }
}

}  // namespace

std::vector<Ids> generate_batch(const models::CausalLm& model, const std::vector<nn::Prompt>& prompts,
                                const BatchGenerationOptions& options,
                                const std::function<void(int64_t, int64_t)>& progress) {
  const at::NoGradGuard no_gradients;
  const int64_t positions = model.config().max_position_embeddings;
  for (const nn::Prompt& prompt : prompts) {
    MOREX_CHECK(!prompt.ids.empty() && static_cast<int64_t>(prompt.ids.size()) <= positions, ErrorKind::kData,
                "[generate] a prompt must hold between 1 and {} ids, got {}", positions, prompt.ids.size());
  }
  Ids ends = model.config().eos_token_ids;
  ends.insert(ends.end(), options.stop_ids.begin(), options.stop_ids.end());
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].ids.size() > prompts[b].ids.size(); });

  std::vector<Ids> results(prompts.size());
  for (size_t begin = 0; begin < order.size();) {
    const auto width = static_cast<int64_t>(prompts[order[begin]].ids.size()) + options.max_new_tokens;
    const auto count = static_cast<size_t>(std::max<int64_t>(1, options.tokens_per_batch / width));
    const size_t end = std::min(order.size(), begin + count);
    std::vector<Row> rows;
    for (size_t i = begin; i < end; ++i) rows.push_back({order[i]});
    generate_rows(model, prompts, std::move(rows), ends, options, results);
    begin = end;
    if (progress) progress(static_cast<int64_t>(end), static_cast<int64_t>(order.size()));
  }
  return results;
}

}  // namespace morex::eval
