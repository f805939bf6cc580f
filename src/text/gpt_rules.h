// The rules of byte-level BPE families, for files that only name them.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::text {

// How a family's text is cut: patterns applied one after another.
struct ByteLevelFamily {
  std::vector<std::string> patterns;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

// The family by the name of GGUF's `tokenizer.ggml.pre`; null when it is not known.
const ByteLevelFamily* byte_level_family(const std::string& name);
std::vector<std::string> byte_level_family_names();

// As in a tokenizer.json.
Json byte_level_pre_tokenizer(const ByteLevelFamily& family);
Json normalizer_of(const ByteLevelFamily& family);
// BOS before each text, EOS behind; negative: none. Null when both are none.
Json template_processing(int64_t bos, int64_t eos);

}  // namespace morex::text
