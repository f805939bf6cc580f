#include "fakes.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "base/random.h"
#include "ops/attention.h"

namespace morex::test {
namespace {

constexpr int64_t kWidth = 8;

at::Tensor random_matrix(const char* name, int64_t rows, at::ScalarType dtype) {
  std::vector<double> values(rows * kWidth);
  fill_normal({5, stream_id(name), 0}, 0, values);
  return at::tensor(values, at::kDouble).view({rows, kWidth}).to(dtype);
}

constexpr int64_t kFirstByte = 10, kFirstPiece = 266;

}  // namespace

FakeLm::FakeLm(int64_t vocab_size, int64_t positions, at::ScalarType dtype)
    : embedding_(random_matrix("embedding", vocab_size, dtype)), head_(random_matrix("head", vocab_size, dtype)) {
  dtype_ = dtype;
  config_.vocab_size = vocab_size;
  config_.max_position_embeddings = positions;
  config_.num_hidden_layers = config_.num_key_value_heads = config_.num_attention_heads = 1;
  config_.hidden_size = config_.head_dim = kWidth;
  config_.eos_token_ids = {2};
}

at::Tensor FakeLm::hidden(const at::Tensor& ids, const nn::BatchContext& ctx, nn::RoutingReport&, nn::KvCache* cache,
                          std::vector<at::Tensor>*) const {
  MOREX_ASSERT(ids.size(0) == ctx.batch && ids.size(1) == ctx.length);
  rows_read += ctx.tokens();
  const int64_t past = cache == nullptr ? 0 : cache->length();
  const at::Tensor positions =
      ctx.segments.defined() ? ctx.positions : at::arange(past, past + ctx.length, at::kLong);  // [B or 1, L]
  const at::Tensor weight = (positions.to(embedding_.scalar_type()) * 0.7).cos();
  const at::Tensor e = embedding_.index_select(0, ids.reshape({-1})).view({ctx.batch, ctx.length, kWidth});
  at::Tensor all = e * weight.unsqueeze(-1);  // [B, L, D]
  if (cache != nullptr) {
    all = cache->append(0, all.unsqueeze(1), all.unsqueeze(1)).first.squeeze(1);  // [B, past + L, D]
    cache->advance(ctx.length);
  }
  if (ctx.segments.defined()) {
    const at::Tensor to = ctx.segments.unsqueeze(1), from = ctx.segments.unsqueeze(2);  // [B, 1, L], [B, L, 1]
    const at::Tensor seen = ((to == from) | (to == ops::kSharedSegment)).to(all.scalar_type()).tril();  // [B, L, L]
    return seen.matmul(all).tanh().reshape({-1, kWidth});
  }
  return all.cumsum(1).slice(1, past).tanh().reshape({-1, kWidth});  // [B·L, D]
}

at::Tensor FakeLm::logits(const at::Tensor& h, const nn::BatchContext&, nn::RoutingReport&) const {
  rows_in_head += h.size(0);
  return 4 * h.matmul(head_.t());
}

at::Tensor FakeLm::loss_sum(const at::Tensor& h, const at::Tensor& targets, const nn::BatchContext& ctx,
                            nn::RoutingReport& report) const {
  return at::nll_loss(at::log_softmax(logits(h, ctx, report), -1), targets, {}, at::Reduction::Sum);
}

FakeTokenizer::FakeTokenizer(std::vector<std::string> pieces, bool adds_bos)
    : pieces_(std::move(pieces)), adds_bos_(adds_bos) {}

std::vector<int64_t> FakeTokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int64_t> ids;
  if (add_special_tokens && adds_bos_) ids.push_back(1);
  while (!text.empty()) {
    size_t used = 1;
    int64_t id = kFirstByte + static_cast<unsigned char>(text.front());
    if (text.starts_with(special_.bos)) {
      used = special_.bos.size();
      id = 1;
    }
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (!text.starts_with(pieces_[i])) continue;
      used = pieces_[i].size();
      id = kFirstPiece + static_cast<int64_t>(i);
    }
    ids.push_back(id);
    text.remove_prefix(used);
  }
  return ids;
}

std::vector<int64_t> FakeTokenizer::encode_within(std::string_view text, int64_t limit) const {
  std::vector<int64_t> ids = encode(text, true);
  ids.resize(std::min(ids.size(), static_cast<size_t>(limit)));
  return ids;
}

text::Encoding FakeTokenizer::encode_with_offsets(std::string_view text) const { return {encode(text, false), {}, {}}; }

text::PairEncoding FakeTokenizer::encode_pair(std::string_view a, std::string_view b) const {
  return {encode(std::string(a) + std::string(b), true), {}, {}};
}

std::string FakeTokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::string text;
  for (const int64_t id : ids) {
    if (!skip_special_tokens || !is_special(id)) text += id_to_token(id);
  }
  return text;
}

std::optional<int64_t> FakeTokenizer::token_to_id(std::string_view token) const {
  if (token == special_.bos) return 1;
  if (token == special_.eos) return 2;
  return std::nullopt;
}

std::string FakeTokenizer::id_to_token(int64_t id) const {
  if (id == 1) return special_.bos;
  if (id == 2) return special_.eos;
  if (id >= kFirstPiece && id < vocab_size()) return pieces_[id - kFirstPiece];
  if (id >= kFirstByte && id < kFirstPiece) return std::string(1, static_cast<char>(id - kFirstByte));
  return "";
}

int64_t FakeTokenizer::vocab_size() const { return kFirstPiece + static_cast<int64_t>(pieces_.size()); }

std::vector<double> log_probs_of(const models::CausalLm& model, const std::vector<int64_t>& ids) {
  const auto length = static_cast<int64_t>(ids.size());
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = length;
  nn::RoutingReport report;
  const at::NoGradGuard no_gradients;
  const at::Tensor input = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());
  const at::Tensor all =
      at::log_softmax(model.logits(model.hidden(input, ctx, report), ctx, report).to(at::kCPU, at::kDouble), -1);
  std::vector<double> result;
  for (int64_t t = 1; t < length; ++t) result.push_back(all[t - 1][ids[t]].item<double>());
  return result;
}

}  // namespace morex::test
