#include "adapters/site.h"

#include <cmath>

namespace morex::adapters {

Init Init::kaiming(int64_t fan_in) {
  const double bound = fan_in > 0 ? 1.0 / std::sqrt(static_cast<double>(fan_in)) : 0.0;
  return uniform(-bound, bound);
}

}  // namespace morex::adapters
