// What is known of a sequence besides its ids.
#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace morex {

struct SequenceFacts {
  std::string question;      // what is asked, without any template: what a sentence encoder reads
  std::string task;          // a name, or a number as text; "": none is known
  int64_t sample_type = -1;  // 0 or 1; -1: none is known
  int64_t file = 0;          // which of the data files it is a row of
  int64_t row = -1;          // its place there, from 0; -1: it is of no file
  auto operator<=>(const SequenceFacts&) const = default;
};

}  // namespace morex
