// The arguments of morex_bench: key=value, all known, each at most once.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace morex::bench {

class Arguments {
 public:
  // Throws Error(kConfig): an argument without "=", a key that is not among `known` or given twice.
  Arguments(const std::vector<std::string>& given, const std::vector<std::string>& known);

  // Throws Error(kConfig) when the key was not given.
  const std::string& text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  // Throws Error(kConfig) when the value is not a whole number from 0.
  int64_t number(const std::string& key, int64_t fallback) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace morex::bench
