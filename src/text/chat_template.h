// Renders a conversation with a model's chat template (Jinja, trim_blocks and lstrip_blocks on).
#pragma once
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"

namespace morex::text {

namespace jinja {
struct Template;
}

struct RenderedChat {
  std::string text;
  std::vector<std::pair<size_t, size_t>> assistant_spans;  // [begin, end) in bytes: {% generation %} blocks, if any
};

class ChatTemplate {
 public:
  // Throws Error(kFormat) with the template's line for what the engine does not know. `clock` is what the template's
  // strftime_now shows; without one it is the local time.
  ChatTemplate(const std::string& source, SpecialTokens special_tokens, std::function<std::tm()> clock = {});

  // `messages`: array of {role, content}; `extra`: further template variables (tools, documents, …), and
  // continue_final_message: true ends the text right after the last message's content. Throws "[chat template, line N]
  // TYPE: message" with the name of Jinja's error: Error(kData) when the template raises or cannot digest the messages,
  // Error(kFormat) when it reaches something that is not supported.
  RenderedChat render(const OrderedJson& messages, bool add_generation_prompt,
                      const OrderedJson& extra = OrderedJson::object()) const;

 private:
  std::shared_ptr<const jinja::Template> template_;
  SpecialTokens special_tokens_;
  std::function<std::tm()> clock_;
};

}  // namespace morex::text
