// Warnings: each is printed once per key, counted, and an error under --strict.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace morex {

class Warnings {
 public:
  explicit Warnings(bool strict = false, bool print = true) : strict_(strict), print_(print) {}

  // Counts `key`; the first time prints "warning: message" to stderr. Throws Error(kConfig) when strict.
  void add(const std::string& key, const std::string& message);

  // How often each key was added, and the first message of each.
  const std::map<std::string, int64_t>& counts() const { return counts_; }
  const std::map<std::string, std::string>& messages() const { return messages_; }

 private:
  bool strict_;
  bool print_;
  std::map<std::string, int64_t> counts_;
  std::map<std::string, std::string> messages_;
};

}  // namespace morex
