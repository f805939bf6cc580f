#include "text/chat_template.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "text/jinja/parser.h"
#include "text/jinja/render.h"
#include "text/jinja/text_tools.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

std::tm local_time() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm out = {};
  localtime_r(&now, &out);
  return out;
}

[[noreturn]] void fail_with(const jinja::Problem& problem, ErrorKind kind) {
  fail(kind, "[chat template, line {}] {}: {}", problem.line, problem.type, problem.message);
}

// Cuts the text after the content of the last message, so that generation goes on from there.
void cut_after_last_message(const OrderedJson& messages, RenderedChat& chat) {
  MOREX_CHECK(!messages.empty(), ErrorKind::kData, "[chat template] continue_final_message needs a message");
  OrderedJson content = messages.back().value("content", OrderedJson());
  if (content.is_array()) {
    OrderedJson last;
    for (const OrderedJson& part : content) last = part.is_object() && part.contains("text") ? part["text"] : last;
    content = last;
  }
  MOREX_CHECK(content.is_string(), ErrorKind::kData,
              "[chat template] continue_final_message needs a final message with text");
  const auto text = content.get<std::string>();
  const std::string bare = jinja::python_strip(text, nullptr, true, true);
  const size_t at = chat.text.rfind(bare);
  MOREX_CHECK(
      at != std::string::npos, ErrorKind::kData,
      "[chat template] continue_final_message needs the final message's text in the rendered chat, but the template "
      "changes it");
  const std::string open = jinja::python_strip(text, nullptr, true, false);
  const size_t end = at + (chat.text.compare(at, open.size(), open) == 0 ? open.size() : bare.size());
  chat.text.resize(end);
  std::erase_if(chat.assistant_spans, [&](const auto& span) { return span.first >= end; });
  for (auto& span : chat.assistant_spans) span.second = std::min(span.second, end);
}

}  // namespace

ChatTemplate::ChatTemplate(const std::string& source, SpecialTokens special_tokens, std::function<std::tm()> clock)
    : special_tokens_(std::move(special_tokens)), clock_(clock ? std::move(clock) : local_time) {
  try {
    template_ = std::make_shared<const jinja::Template>(jinja::parse(to_valid_utf8(source)));
  } catch (const jinja::Problem& problem) {
    fail_with(problem, ErrorKind::kFormat);
  }
}

RenderedChat ChatTemplate::render(const OrderedJson& messages, bool add_generation_prompt,
                                  const OrderedJson& extra) const {
  jinja::Dict variables;
  variables.set("messages", jinja::from_json(messages));
  variables.set("tools", jinja::None());
  variables.set("documents", jinja::None());
  variables.set("add_generation_prompt", add_generation_prompt);
  const auto set_token = [&](const char* name, const std::string& token) {
    if (!token.empty()) variables.set(name, token);
  };
  set_token("bos_token", special_tokens_.bos);
  set_token("eos_token", special_tokens_.eos);
  set_token("pad_token", special_tokens_.pad);
  set_token("unk_token", special_tokens_.unk);
  bool continues = false;
  for (const auto& [name, value] : extra.items()) {
    if (name == "continue_final_message") {
      continues = value.is_boolean() && value.get<bool>();
    } else {
      variables.set(name, jinja::from_json(value));
    }
  }
  RenderedChat chat;
  try {
    jinja::Rendered rendered = jinja::render(*template_, variables, clock_());
    chat.text = std::move(rendered.text);
    chat.assistant_spans = std::move(rendered.generation_spans);
  } catch (const jinja::Problem& problem) {
    fail_with(problem, problem.type == jinja::kUnsupported ? ErrorKind::kFormat : ErrorKind::kData);
  }
  if (continues) cut_after_last_message(messages, chat);
  return chat;
}

}  // namespace morex::text
