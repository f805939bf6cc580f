#include "data/response_encoding.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"

namespace morex::data {
namespace {

using Ids = std::vector<int64_t>;

std::optional<int64_t> wanted_eos(const text::Tokenizer& tokenizer, const DatasetOptions& options) {
  if (!options.train_on_eos) return std::nullopt;
  const std::optional<int64_t> eos = tokenizer.eos_id();
  MOREX_CHECK(
      eos.has_value(), ErrorKind::kConfig,
      "[data] the tokenizer must name an EOS token that ends a response, it names none. Hint: train_on_eos=false.");
  return eos;
}

bool ends_with(const Ids& ids, std::optional<int64_t> id) { return !ids.empty() && ids.back() == id; }

// With the tokenizer's prefix, but without the EOS that some tokenizers add: a response is to follow.
Ids encode_with_prefix(const text::Tokenizer& tokenizer, const std::string& text) {
  Ids ids = tokenizer.encode(text, true);
  const std::string& eos = tokenizer.special_tokens().eos;
  if (!eos.empty() && ends_with(ids, tokenizer.eos_id()) && !text.ends_with(eos)) ids.pop_back();
  return ids;
}

// The first `prompt` ids are the prompt, supervised only where the options say so.
void mask(Example& example, size_t prompt, const DatasetOptions& options) {
  example.labels = example.ids;
  prompt = std::min(prompt, example.labels.size());
  example.prompt_length = static_cast<int64_t>(prompt);
  if (!options.train_on_inputs) std::fill_n(example.labels.begin(), prompt, kIgnoreLabel);
}

// Cuts `example.ids` on the right; EOS follows if it is wanted and there is room.
void finish_right(Example& example, std::optional<int64_t> eos, int64_t cutoff) {
  const bool append = eos.has_value() && !ends_with(example.ids, eos);
  const int64_t wanted = example.length() + (append ? 1 : 0);
  if (example.length() > cutoff) example.ids.resize(static_cast<size_t>(cutoff));
  if (append && example.length() < cutoff) example.ids.push_back(*eos);
  example.cut_tokens = wanted - example.length();
  example.end_cut = eos.has_value() && example.cut_tokens > 0;
}

Example encode_whole(const PromptResponse& text, const text::Tokenizer& tokenizer, const DatasetOptions& options) {
  Example example;
  example.ids = encode_with_prefix(tokenizer, text.prompt + text.response);
  finish_right(example, wanted_eos(tokenizer, options), options.max_seq_length);
  mask(example, encode_with_prefix(tokenizer, text.prompt).size(), options);
  return example;
}

Example encode_apart(const PromptResponse& text, const text::Tokenizer& tokenizer, const DatasetOptions& options) {
  const std::optional<int64_t> eos = wanted_eos(tokenizer, options);
  Ids prompt = encode_with_prefix(tokenizer, text.prompt);
  Ids response = tokenizer.encode(text.response, false);
  if (eos && !ends_with(response, eos)) response.push_back(*eos);
  const auto s = static_cast<int64_t>(prompt.size());
  const auto t = static_cast<int64_t>(response.size());
  const auto [keep_s, keep_t] = shared_cut(s, t, options.max_seq_length);
  Example example;
  example.ids.assign(prompt.begin(), prompt.begin() + keep_s);
  example.ids.insert(example.ids.end(), response.begin(), response.begin() + keep_t);
  example.cut_tokens = s + t - keep_s - keep_t;
  example.end_cut = eos.has_value() && keep_t < t;
  mask(example, static_cast<size_t>(keep_s), options);
  return example;
}

}  // namespace

std::pair<int64_t, int64_t> shared_cut(int64_t s, int64_t t, int64_t cutoff) {
  int64_t most_t = cutoff;
  if (2 * t >= cutoff) most_t = 2 * s < cutoff ? cutoff - s : cutoff * t / (s + t);
  const int64_t keep_t = std::min(most_t, t);
  return {std::min(cutoff - keep_t, s), keep_t};
}

Example encode_response(const PromptResponse& text, const text::Tokenizer& tokenizer, const DatasetOptions& options) {
  Example example =
      options.truncation == "concat" ? encode_apart(text, tokenizer, options) : encode_whole(text, tokenizer, options);
  example.prompt_text = text.prompt;
  return example;
}

Example encode_text(const std::string& text, const text::Tokenizer& tokenizer, const DatasetOptions& options) {
  Example example;
  example.ids = encode_with_prefix(tokenizer, text);
  finish_right(example, wanted_eos(tokenizer, options), options.max_seq_length);
  example.labels = example.ids;
  return example;
}

}  // namespace morex::data
