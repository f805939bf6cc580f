// Cutting a text at the matches of a pattern.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace morex::text {

// What becomes of the matches: pieces of their own, nothing, a part of the piece before or after, or (contiguous) one
// piece for matches side by side.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

SplitBehavior split_behavior_from_name(const std::string& name, const std::string& where);

// The pieces of the text of `size` bytes whose sorted matches are given, shifted by `offset`, appended to `pieces`;
// empty ones are left out. `invert`: what lies between the matches counts as the matches.
void split(uint32_t size, const std::vector<ByteRange>& matches, SplitBehavior behavior, bool invert, uint32_t offset,
           std::vector<ByteRange>& pieces);

}  // namespace morex::text
