#include "text/split.h"

#include <algorithm>

#include "base/error.h"

namespace morex::text {

SplitBehavior split_behavior_from_name(const std::string& name, const std::string& where) {
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  fail(ErrorKind::kFormat, "[{}] split behavior {} is not known", where, name);
}

void split(uint32_t size, const std::vector<ByteRange>& matches, SplitBehavior behavior, bool invert, uint32_t offset,
           std::vector<ByteRange>& pieces) {
  struct Part {
    ByteRange range;
    bool match;
  };
  // The common case needs no list of parts.
  if (behavior == SplitBehavior::kIsolated) {
    uint32_t last = 0;
    for (const ByteRange& match : matches) {
      if (match.begin > last) pieces.push_back({offset + last, offset + match.begin});
      if (match.end > match.begin) pieces.push_back({offset + match.begin, offset + match.end});
      last = match.end;
    }
    if (size > last) pieces.push_back({offset + last, offset + size});
    return;
  }
  std::vector<Part> parts;
  uint32_t last = 0;
  for (const ByteRange& match : matches) {
    if (match.begin > last) parts.push_back({{last, match.begin}, invert});
    parts.push_back({match, !invert});
    last = match.end;
  }
  if (size > last) parts.push_back({{last, size}, invert});

  std::vector<ByteRange> out;
  bool previous_match = false;
  const auto walk = [&](const Part& part, bool extend, bool backwards) {
    if (extend && !out.empty()) {
      (backwards ? out.back().begin : out.back().end) = backwards ? part.range.begin : part.range.end;
    } else {
      out.push_back(part.range);
    }
    previous_match = part.match;
  };
  switch (behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      for (const Part& part : parts) {
        if (!part.match) out.push_back(part.range);
      }
      break;
    case SplitBehavior::kContiguous:
      for (const Part& part : parts) walk(part, part.match == previous_match, false);
      break;
    case SplitBehavior::kMergedWithPrevious:
      for (const Part& part : parts) walk(part, part.match && !previous_match, false);
      break;
    case SplitBehavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) walk(*part, part->match && !previous_match, true);
      std::reverse(out.begin(), out.end());
      break;
  }
  for (const ByteRange& range : out) {
    if (range.end > range.begin) pieces.push_back({offset + range.begin, offset + range.end});
  }
}

}  // namespace morex::text
