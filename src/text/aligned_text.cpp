#include "text/aligned_text.h"

#include "text/utf8.h"

namespace morex::text {

AlignedText align(std::string_view valid_text, uint32_t first_character, bool tracked) {
  AlignedText out;
  out.text = valid_text;
  if (!tracked) return out;
  out.origin.reserve(valid_text.size());
  uint32_t next = first_character;
  for (const char c : valid_text) {
    if (!is_continuation(static_cast<unsigned char>(c))) ++next;
    out.origin.push_back({next - 1, next});
  }
  return out;
}

}  // namespace morex::text
