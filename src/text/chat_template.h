// Renders a conversation with a model's chat template (Jinja, trim_blocks and lstrip_blocks on).
#pragma once
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
  // Throws Error(kFormat) with the template's line for what the engine does not know.
  ChatTemplate(const std::string& source, SpecialTokens special_tokens);

  // `messages`: array of {role, content}; `extra`: further template variables. Error(kData) when the template raises.
  RenderedChat render(const OrderedJson& messages, bool add_generation_prompt,
                      const OrderedJson& extra = OrderedJson::object()) const;

 private:
  std::shared_ptr<const jinja::Template> template_;
  SpecialTokens special_tokens_;
};

}  // namespace morex::text
