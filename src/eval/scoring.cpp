#include "eval/scoring.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <tuple>

#include "base/error.h"
#include "ops/attention.h"

namespace morex::eval {
namespace {

// Rows of logits held at once: 256 rows of a vocabulary of 50,000 are 50 MB.
constexpr int64_t kHeadRows = 256;

using Ids = std::vector<int64_t>;

// What requests of one row read behind the prompt: their continuation without its last id, which is predicted.
struct Branch {
  std::span<const int64_t> ids;
  int64_t begin = 0;  // in the row
  std::vector<int64_t> requests;
};

// Requests with the same prompt and the same facts: the prompt, then each branch.
struct Row {
  std::span<const int64_t> prompt;
  const SequenceFacts* facts;
  std::vector<Branch> branches;
  int64_t length = 0;

  void add(std::span<const int64_t> ids, int64_t request) {
    const auto known = std::find_if(branches.begin(), branches.end(), [&](const Branch& b) {
      return std::equal(b.ids.begin(), b.ids.end(), ids.begin(), ids.end());
    });
    if (known != branches.end()) return known->requests.push_back(request);
    branches.push_back({ids, length, {request}});
    length += static_cast<int64_t>(ids.size());
  }
  bool forks() const {
    return std::count_if(branches.begin(), branches.end(), [](const Branch& b) { return !b.ids.empty(); }) > 1;
  }
};

// share: whether different continuations of a prompt may stand in one row.
std::vector<Row> distinct_rows(const std::vector<Request>& requests, bool share) {
  std::vector<Row> rows;
  std::map<std::tuple<Ids, SequenceFacts, Ids>, size_t> known;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    if (request.continuation.empty()) continue;
    const std::span<const int64_t> input(request.input);
    const auto prompt = input.first(input.size() + 1 - request.continuation.size());
    const auto read = input.subspan(prompt.size());
    const auto [place, added] = known.try_emplace(
        {Ids(prompt.begin(), prompt.end()), request.facts, share ? Ids() : Ids(read.begin(), read.end())}, rows.size());
    if (added) rows.push_back({prompt, &request.facts, {}, static_cast<int64_t>(prompt.size())});
    rows[place->second].add(read, static_cast<int64_t>(i));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.length > b.length; });
  return rows;
}

// One id of one continuation, and the position [of B·L] that predicts it.
struct Target {
  int64_t request, position, id;
};

std::vector<Target> batch_targets(const std::vector<Request>& requests, std::span<const Row> rows, int64_t length) {
  std::vector<Target> targets;
  for (size_t r = 0; r < rows.size(); ++r) {
    const int64_t row = static_cast<int64_t>(r) * length,
                  last_of_prompt = static_cast<int64_t>(rows[r].prompt.size()) - 1;
    for (const Branch& branch : rows[r].branches) {
      for (const int64_t request : branch.requests) {
        const Ids& ids = requests[request].continuation;
        for (size_t k = 0; k < ids.size(); ++k) {
          const int64_t position = k == 0 ? last_of_prompt : branch.begin + static_cast<int64_t>(k) - 1;
          targets.push_back({request, row + position, ids[k]});
        }
      }
    }
  }
  return targets;
}

// Positions and segments of rows that fork: every branch goes on from the prompt and sees it and itself.
void set_branches(std::span<const Row> rows, at::Device device, nn::BatchContext& ctx) {
  const int64_t length = ctx.length;
  Ids positions(ctx.tokens(), 0), segments(ctx.tokens(), ops::kSharedSegment);
  for (size_t r = 0; r < rows.size(); ++r) {
    const int64_t row = static_cast<int64_t>(r) * length, prompt = static_cast<int64_t>(rows[r].prompt.size());
    std::iota(positions.begin() + row, positions.begin() + row + prompt, 0);
    for (size_t b = 0; b < rows[r].branches.size(); ++b) {
      const Branch& branch = rows[r].branches[b];
      const int64_t begin = row + branch.begin, end = begin + static_cast<int64_t>(branch.ids.size());
      std::iota(positions.begin() + begin, positions.begin() + end, prompt);
      std::fill(segments.begin() + begin, segments.begin() + end, static_cast<int64_t>(b));
    }
  }
  ctx.positions = at::tensor(positions, at::kLong).view({ctx.batch, length}).to(device);
  ctx.segments = at::tensor(segments, at::kLong).view({ctx.batch, length}).to(device);
}

at::Tensor batch_hidden(const models::CausalLm& model, std::span<const Row> rows, nn::BatchContext& ctx,
                        nn::RoutingReport& report) {
  const int64_t length = rows.front().length;
  ctx.batch = static_cast<int64_t>(rows.size());
  ctx.length = length;
  Ids ids(ctx.tokens(), 0), lengths;
  for (size_t r = 0; r < rows.size(); ++r) {
    auto place =
        std::copy(rows[r].prompt.begin(), rows[r].prompt.end(), ids.begin() + static_cast<int64_t>(r) * length);
    for (const Branch& branch : rows[r].branches) place = std::copy(branch.ids.begin(), branch.ids.end(), place);
    lengths.push_back(rows[r].length);
  }
  const at::Tensor real = at::tensor(lengths, at::kLong).unsqueeze(1).to(model.device());                // [B, 1]
  if (lengths.back() < length) ctx.token_mask = at::arange(length, real.options()).unsqueeze(0) < real;  // [B, L]
  if (std::any_of(rows.begin(), rows.end(), [](const Row& row) { return row.forks(); }))
    set_branches(rows, model.device(), ctx);
  if (model.wants_prompts()) {
    std::vector<nn::Prompt> prompts;
    for (const Row& row : rows) prompts.emplace_back(Ids(row.prompt.begin(), row.prompt.end()), *row.facts);
    model.read_prompts(prompts, ctx);
  }
  const at::Tensor input = at::tensor(ids, at::kLong).view({ctx.batch, length}).to(model.device());  // [B, L]
  return model.hidden(input, ctx, report);                                                           // [B·L, D]
}

// Adds each target's log-probability to its request, and takes `greedy` away where it is not the most probable id.
void add_scores(const models::CausalLm& model, const at::Tensor& h, std::span<const Target> targets,
                const nn::BatchContext& ctx, nn::RoutingReport& report, std::vector<Score>& scores) {
  std::vector<int64_t> positions, places, ids;
  for (const Target& target : targets) {
    // Continuations of one row ask for the same position one after the other: it goes through the head once.
    if (positions.empty() || positions.back() != target.position) positions.push_back(target.position);
    places.push_back(static_cast<int64_t>(positions.size()) - 1);
    ids.push_back(target.id);
  }
  const at::Tensor rows = h.index_select(0, at::tensor(positions, at::kLong).to(h.device()));  // [P, D]
  const at::Tensor logits = model.logits(rows, ctx, report);                                   // [P, V]
  const at::ScalarType precise = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor log_probs = at::log_softmax(logits.to(precise), -1);              // [P, V]
  const at::Tensor best = log_probs.argmax(-1).to(at::kCPU);                         // [P]
  const at::Tensor place = at::tensor(places, at::kLong).to(h.device());             // [N]
  const at::Tensor id = at::tensor(ids, at::kLong).to(h.device());                   // [N]
  const at::Tensor chosen = log_probs.index({place, id}).to(at::kCPU, at::kDouble);  // [N]
  for (size_t i = 0; i < targets.size(); ++i) {
    Score& score = scores[targets[i].request];
    score.log_likelihood += chosen.const_data_ptr<double>()[i];
    score.greedy = score.greedy && best.const_data_ptr<int64_t>()[places[i]] == ids[i];
  }
}

}  // namespace

std::vector<Score> score_requests(const models::CausalLm& model, const std::vector<Request>& requests,
                                  int64_t tokens_per_batch, const std::function<void(int64_t, int64_t)>& progress) {
  MOREX_CHECK(tokens_per_batch > 0, ErrorKind::kConfig, "[eval] tokens_per_batch must be positive, got {}",
              tokens_per_batch);
  const at::NoGradGuard no_gradients;
  std::vector<Score> scores(requests.size());
  const std::vector<Row> rows = distinct_rows(requests, !model.slots().adapters_read_other_tokens());
  int64_t done =
      std::count_if(requests.begin(), requests.end(), [](const Request& r) { return r.continuation.empty(); });
  for (size_t begin = 0; begin < rows.size();) {
    const int64_t length = rows[begin].length;
    const size_t count = std::min<size_t>(rows.size() - begin, std::max<int64_t>(1, tokens_per_batch / length));
    const std::span<const Row> batch(rows.data() + begin, count);
    nn::BatchContext ctx;
    nn::RoutingReport report;
    const at::Tensor h = batch_hidden(model, batch, ctx, report);
    std::vector<Target> targets = batch_targets(requests, batch, length);
    std::stable_sort(targets.begin(), targets.end(),
                     [](const Target& a, const Target& b) { return a.position < b.position; });
    for (size_t at = 0; at < targets.size(); at += kHeadRows) {
      const size_t part = std::min<size_t>(kHeadRows, targets.size() - at);
      add_scores(model, h, std::span<const Target>(targets).subspan(at, part), ctx, report, scores);
    }
    for (const Row& row : batch)
      for (const Branch& branch : row.branches) done += static_cast<int64_t>(branch.requests.size());
    if (progress) progress(done, static_cast<int64_t>(requests.size()));
    begin += count;
  }
  for (const Score& score : scores) {
    MOREX_CHECK(std::isfinite(score.log_likelihood), ErrorKind::kNumeric,
                "[eval] log-likelihoods must be finite, got {}", score.log_likelihood);
  }
  return scores;
}

}  // namespace morex::eval
