// CPython's random.Random, as far as published evaluation protocols draw with it.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace morex::eval {

// MT19937 (Matsumoto and Nishimura 1998), seeded and used the way CPython's random module does.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);               // random.Random(seed)
  uint32_t next();                                    // getrandbits(32)
  int64_t below(int64_t n);                           // randrange(n), n > 0 below 2^32
  std::vector<int64_t> sample(int64_t n, int64_t k);  // sample(range(n), k); k <= n

 private:
  static constexpr int kWords = 624;
  void seed_word(uint32_t seed);
  void refill();
  std::array<uint32_t, kWords> state_{};
  int next_ = kWords;
};

}  // namespace morex::eval
