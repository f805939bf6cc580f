// Names a model by what its files hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace morex::models {

// SHA-256 over one line per tensor, sorted by name: name, stored type, shape and content_hash() of all its stored
// bytes. It does not depend on how the tensors are spread over files, nor on the settings beside them. The content hash
// is fast, not cryptographic: it tells models apart, it does not resist somebody who forges one.
class WeightDigest {
 public:
  void add(const std::string& name, std::string_view type, const std::vector<int64_t>& shape,
           std::span<const std::byte> bytes);
  std::string hex() const;  // 64 digits

 private:
  std::map<std::string, std::string> lines_;
};

// 64 bits over all bytes, in parallel over fixed chunks: the same for any number of threads.
uint64_t content_hash(std::span<const std::byte> bytes);

}  // namespace morex::models
