#include "models/check_ids.h"

#include <algorithm>

#include "base/error.h"

namespace morex::models {

void check_ids(std::span<const int64_t> ids, const ModelConfig& config, const std::string& where) {
  const auto highest = std::max_element(ids.begin(), ids.end());
  MOREX_CHECK(highest == ids.end() || *highest < config.vocab_size, ErrorKind::kFormat,
              "[tokenizer] ids must be below the model's vocabulary of {}, got {} in {}. Hint: use the model's own "
              "tokenizer.",
              config.vocab_size, *highest, where);
}

}  // namespace morex::models
