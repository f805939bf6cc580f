// A language model and a tokenizer small enough to reason about.
#pragma once
#include <map>
#include <string>

#include "models/causal_lm.h"
#include "text/tokenizer.h"

namespace morex::test {

// Causal, position dependent, with cache: hidden[t] = tanh(sum over s <= t of weight(s)·E[id_s]), logits = 4·hidden·Wᵀ.
class FakeLm final : public models::CausalLm {
 public:
  explicit FakeLm(int64_t vocab_size = 320, int64_t positions = 64, at::ScalarType dtype = at::kDouble);
  at::Tensor hidden(const at::Tensor& ids, const nn::BatchContext& ctx, nn::RoutingReport& report,
                    nn::KvCache* cache = nullptr, std::vector<at::Tensor>* all_hidden = nullptr) const override;
  at::Tensor logits(const at::Tensor& h, const nn::BatchContext& ctx, nn::RoutingReport& report) const override;
  at::Tensor loss_sum(const at::Tensor& h, const at::Tensor& targets, const nn::BatchContext& ctx,
                      nn::RoutingReport& report) const override;

  models::ModelConfig& config() { return config_; }
  const models::ModelConfig& config() const { return config_; }
  mutable int64_t rows_read = 0;     // rows that hidden() was given
  mutable int64_t rows_in_head = 0;  // rows that logits() was given

 private:
  at::Tensor embedding_, head_;  // [V, D]
};

// One id per byte (10 + byte), BOS 1 in front, and pieces of several bytes that are taken greedily: so the ids of a
// text need not start with those of its beginning.
class FakeTokenizer final : public text::Tokenizer {
 public:
  explicit FakeTokenizer(std::vector<std::string> pieces = {": ", "o o"}, bool adds_bos = true);
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::vector<int64_t> encode_within(std::string_view text, int64_t limit) const override;
  text::Encoding encode_with_offsets(std::string_view text) const override;
  text::PairEncoding encode_pair(std::string_view a, std::string_view b) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::string id_to_token(int64_t id) const override;
  bool is_special(int64_t id) const override { return id == 1 || id == 2; }
  int64_t vocab_size() const override;
  const text::SpecialTokens& special_tokens() const override { return special_; }
  const std::string& chat_template() const override { return empty_; }
  const std::string& digest() const override { return empty_; }

 private:
  std::vector<std::string> pieces_;
  bool adds_bos_;
  text::SpecialTokens special_{"<s>", "</s>", "", ""};
  std::string empty_;
};

// log p(id | prefix) for every position of ids after the first, from one full forward.
std::vector<double> log_probs_of(const models::CausalLm& model, const std::vector<int64_t>& ids);

}  // namespace morex::test
