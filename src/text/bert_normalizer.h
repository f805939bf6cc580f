// BERT's normalizer: control characters go, every blank is a space, Chinese characters stand alone, accents go, letters
// are small.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/normalizers.h"

namespace morex::text {

// The steps of a tokenizer.json's BertNormalizer (clean_text, handle_chinese_chars, strip_accents, lowercase; accents
// go with the capitals unless strip_accents says otherwise), in their order.
// DEVIATION: classes of characters are those of the installed Unicode tables; the reference's are those of Unicode 8,
// which leave later marks and punctuation in a word.
std::vector<std::unique_ptr<const Normalizer>> bert_normalizer_steps(const JsonReader& options);

}  // namespace morex::text
