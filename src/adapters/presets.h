// Published methods as choices on the three axes.
#pragma once
#include <string>

#include "base/json.h"

namespace morex::adapters {

// The method part that `name` stands for: experts, router, prior, losses, target_modules. Throws Error(kConfig) for an
// unknown name, with the nearest one.
Json preset(const std::string& name);

}  // namespace morex::adapters
