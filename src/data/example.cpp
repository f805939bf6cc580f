#include "data/example.h"

#include <algorithm>

namespace morex::data {

int64_t Example::supervised() const {
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + 1, labels.end(), [](int64_t label) { return label != kIgnoreLabel; });
}

}  // namespace morex::data
