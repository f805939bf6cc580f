// What is put around encoded texts: BOS, separators, the ids of a pair; and what offsets leave out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::text {

// One part of an output: fixed ids, or a text's own ids.
struct TemplatePart {
  enum class Kind { kSpecial, kFirst, kSecond };
  Kind kind = Kind::kFirst;
  std::vector<int64_t> ids;  // of kSpecial
  int64_t type_id = 0;
};

struct PostProcessor {
  std::vector<TemplatePart> single = {{TemplatePart::Kind::kFirst, {}, 0}};
  std::vector<TemplatePart> pair = {{TemplatePart::Kind::kFirst, {}, 0}, {TemplatePart::Kind::kSecond, {}, 1}};
  bool trim_offsets = false;      // white space at a token's ends is left out of its offsets
  bool add_prefix_space = false;  // the first token's leading space was added, so it has no offset to leave out
};

// From the `post_processor` object of a tokenizer.json; null gives the default. Known: Sequence, ByteLevel,
// TemplateProcessing. Throws Error(kFormat) naming another type.
PostProcessor make_post_processor(const Json& spec, const std::string& where);

}  // namespace morex::text
