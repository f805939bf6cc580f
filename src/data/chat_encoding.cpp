#include "data/chat_encoding.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace morex::data {
namespace {

// A part of the rendered text, in bytes.
struct Span {
  size_t begin = 0, end = 0;
};

struct Conversation {
  std::string text;
  std::vector<Span> assistant;
  bool marked = false;  // the template itself says what an assistant generates
};

text::RenderedChat render(const text::ChatTemplate& chat_template, const OrderedJson& messages,
                          bool add_generation_prompt, const std::string& where) {
  try {
    return chat_template.render(messages, add_generation_prompt);
  } catch (const Error& error) {
    fail(ErrorKind::kData, "[{}] the chat template refuses the messages: {}", where, error.what());
  }
}

OrderedJson first_messages(const OrderedJson& messages, size_t count) {
  return OrderedJson(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
}

// What each assistant message adds: the text between the rendering of all before it, with the generation prompt, and
// the rendering that ends with it.
std::vector<Span> spans_by_prefixes(const OrderedJson& messages, const std::string& text,
                                    const text::ChatTemplate& chat_template, const std::string& where) {
  std::vector<Span> spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].at("role") != "assistant") continue;
    const std::string before = render(chat_template, first_messages(messages, i), true, where).text;
    const std::string with = render(chat_template, first_messages(messages, i + 1), false, where).text;
    MOREX_CHECK(with.starts_with(before) && text.starts_with(with), ErrorKind::kData,
                "[{}] messages[{}]: the rendering up to a message must begin the rendering of the whole conversation, "
                "with this "
                "chat template it does not. Hint: give each assistant turn a row of its own, or mark turns in the "
                "template with "
                "{{% generation %}}.",
                where, i);
    spans.push_back({before.size(), with.size()});
  }
  return spans;
}

Conversation render_conversation(const OrderedJson& messages, const text::ChatTemplate& chat_template,
                                 const std::string& where) {
  Conversation conversation;
  text::RenderedChat whole = render(chat_template, messages, false, where);
  conversation.text = std::move(whole.text);
  conversation.marked = !whole.assistant_spans.empty();
  for (const auto& [begin, end] : whole.assistant_spans) conversation.assistant.push_back({begin, end});
  if (!conversation.marked)
    conversation.assistant = spans_by_prefixes(messages, conversation.text, chat_template, where);
  return conversation;
}

// Positions in code points for ascending positions in bytes.
class CodePoints {
 public:
  explicit CodePoints(std::string_view text) : text_(text) {}
  int64_t at(size_t byte) {
    for (; byte_ < byte; ++byte_) count_ += (static_cast<unsigned char>(text_[byte_]) & 0xC0) != 0x80;
    return count_;
  }

 private:
  std::string_view text_;
  size_t byte_ = 0;
  int64_t count_ = 0;
};

size_t without_trailing_space(std::string_view text, Span span) {
  while (span.end > span.begin && std::string_view(" \t\r\n").find(text[span.end - 1]) != std::string_view::npos)
    --span.end;
  return span.end;
}

// The ids of one span, [first, last).
struct IdRange {
  size_t first = 0, last = 0;
};

// Ids that begin inside the code points [begin, end); an id that began before is part of the prompt.
IdRange ids_inside(const text::Encoding& encoding, int64_t begin, int64_t end) {
  const auto first = std::lower_bound(encoding.begin.begin(), encoding.begin.end(), begin);
  const auto last = std::lower_bound(first, encoding.begin.end(), end);
  return {static_cast<size_t>(first - encoding.begin.begin()), static_cast<size_t>(last - encoding.begin.begin())};
}

}  // namespace

Example encode_chat(const OrderedJson& messages, const text::ChatTemplate& chat_template,
                    const text::Tokenizer& tokenizer, const DatasetOptions& options, const std::string& where,
                    Warnings& warnings) {
  const Conversation conversation = render_conversation(messages, chat_template, where);
  text::Encoding encoding = tokenizer.encode_with_offsets(conversation.text);
  const auto ends_turn = [&](size_t i) {
    return tokenizer.is_special(encoding.ids[i]) || encoding.ids[i] == tokenizer.eos_id();
  };

  Example example;
  example.labels.assign(encoding.ids.size(), kIgnoreLabel);
  std::vector<size_t> turn_ends;  // index of each turn's last supervised id
  CodePoints code_points(conversation.text);
  for (const Span& span : conversation.assistant) {
    const int64_t begin = code_points.at(span.begin);
    const int64_t trimmed_end = code_points.at(without_trailing_space(conversation.text, span));
    const IdRange whole = ids_inside(encoding, begin, code_points.at(span.end));
    if (&span == &conversation.assistant.front()) example.prompt_length = static_cast<int64_t>(whole.first);
    const IdRange trimmed = ids_inside(encoding, begin, trimmed_end);
    const bool ended = trimmed.last > trimmed.first && ends_turn(trimmed.last - 1);
    if (!ended)
      warnings.add(
          "data.no_end_of_turn",
          fmt::format("[{}] an assistant turn does not end with a special token in this chat template, so the model "
                      "does not learn to stop",
                      where));
    // The line break that templates put after the end of a turn is never generated.
    size_t last = ended && !conversation.marked ? trimmed.last : whole.last;
    if (ended && !options.train_on_eos) last = trimmed.last - 1;
    for (size_t i = whole.first; i < last; ++i) example.labels[i] = encoding.ids[i];
    if (last > whole.first) turn_ends.push_back(last - 1);
  }
  if (options.train_on_inputs) example.labels = encoding.ids;
  example.ids = std::move(encoding.ids);
  if (!conversation.assistant.empty())
    example.prompt_text = conversation.text.substr(0, conversation.assistant.front().begin);

  const size_t needed = options.train_on_inputs || turn_ends.empty() ? example.ids.size() : turn_ends.back() + 1;
  const size_t kept = std::min(needed, static_cast<size_t>(options.max_seq_length));
  example.cut_tokens = static_cast<int64_t>(needed - kept);
  example.end_cut = !turn_ends.empty() && turn_ends.back() >= kept;
  example.ids.resize(kept);
  example.labels.resize(kept);
  example.prompt_length = std::min(example.prompt_length, static_cast<int64_t>(kept));
  return example;
}

}  // namespace morex::data
