#include "eval/requests.h"

#include <algorithm>

#include "base/error.h"
#include "eval/python_text.h"

namespace morex::eval {
namespace {

std::vector<int64_t> encode(const text::Tokenizer& tokenizer, const std::string& text) {
  const std::string& bos = tokenizer.special_tokens().bos;
  const bool has_bos = !bos.empty() && text.starts_with(bos);
  return tokenizer.encode(text, !has_bos);
}

int64_t prefix_id(const text::Tokenizer& tokenizer) {
  const std::optional<int64_t> id = tokenizer.bos_id() ? tokenizer.bos_id() : tokenizer.eos_id();
  MOREX_CHECK(id.has_value(), ErrorKind::kFormat,
              "[eval] an empty context needs a tokenizer with a BOS or EOS token, got neither");
  return *id;
}

Request make_request(const std::vector<int64_t>& context_ids, std::vector<int64_t> continuation, int64_t max_length) {
  const auto wanted = static_cast<int64_t>(continuation.size());
  MOREX_CHECK(wanted <= max_length, ErrorKind::kData, "[eval] a choice must fit the model's {} positions, got {} ids",
              max_length, wanted);
  Request request;
  request.input = context_ids;
  request.input.insert(request.input.end(), continuation.begin(), continuation.end());
  request.cut_left = std::max<int64_t>(0, static_cast<int64_t>(request.input.size()) - (max_length + 1));
  request.input.erase(request.input.begin(), request.input.begin() + request.cut_left);
  request.input.pop_back();
  request.continuation = std::move(continuation);
  return request;
}

}  // namespace

ChoiceRequests make_requests(const text::Tokenizer& tokenizer, const std::string& context,
                             const std::vector<std::string>& choices, int64_t max_length) {
  const std::string head(python_rstrip(context));
  const std::string moved = context.substr(head.size());
  ChoiceRequests result;
  result.context_ids = head.empty() ? std::vector<int64_t>{prefix_id(tokenizer)} : encode(tokenizer, head);
  const std::vector<int64_t>& ctx = result.context_ids;
  MOREX_CHECK(!ctx.empty(), ErrorKind::kData, "[eval] the context must have at least one id, got none for '{}'", head);
  for (const std::string& choice : choices) {
    const std::string continuation = moved + " " + choice;
    if (head.empty()) {
      std::vector<int64_t> ids = tokenizer.encode(continuation, false);
      if (!ids.empty() && ids.front() == ctx.front()) ids.erase(ids.begin());
      result.choices.push_back(make_request(ctx, std::move(ids), max_length));
      continue;
    }
    std::vector<int64_t> whole = encode(tokenizer, head + continuation);
    const bool moved_border = whole.size() < ctx.size() || !std::equal(ctx.begin(), ctx.end(), whole.begin());
    whole.erase(whole.begin(), whole.begin() + static_cast<int64_t>(std::min(ctx.size(), whole.size())));
    result.choices.push_back(make_request(ctx, std::move(whole), max_length));
    result.choices.back().border_moved = moved_border;
  }
  return result;
}

}  // namespace morex::eval
