// The options of one axis on their way into another project's configuration: each is taken once, and what is left
// over has no place there.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace morex::adapters {

class OptionsLeft {
 public:
  // `axis`: experts, router, prior or a whole entry; `where`: its name in errors.
  OptionsLeft(const Json& axis, std::string where, std::string_view layout);

  Json take(const std::string& key, const Json& fallback);
  // The value, which must be `only` (also what a missing key means). Throws Error(kConfig).
  void must_be(const std::string& key, const Json& only);
  void ignore(const std::vector<std::string>& keys);  // of no meaning after training
  void refuse_rest() const;                           // throws Error(kConfig) for the first key that was not taken

 private:
  Json left_;
  std::string where_, layout_;
};

}  // namespace morex::adapters
