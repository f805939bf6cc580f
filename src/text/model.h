// The part of a tokenizer that turns one word (a pre-token) into ids.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace morex::text {

// Working memory of one thread's encoding: buffers, a cache of words.
class ModelScratch {
 public:
  virtual ~ModelScratch() = default;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual std::unique_ptr<ModelScratch> make_scratch() const = 0;
  // Appends the ids of `word`, and to `ranges` (unless null) each id's bytes in the word. `scratch` is one of this
  // model's own and used by one thread at a time.
  virtual void encode(std::string_view word, ModelScratch& scratch, std::vector<int64_t>& ids,
                      std::vector<ByteRange>* ranges) const = 0;
  // Everything besides the vocabulary that decides the ids, as bytes to be hashed.
  virtual std::string rules() const = 0;
};

}  // namespace morex::text
