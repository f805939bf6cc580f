// The part of Python's pickle format that a saved dictionary of tensors needs, read without running anything: names
// and calls stay what they are, data.
#pragma once
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace morex::io {

struct PickleValue {
  enum class Kind {
    kNone,
    kBool,        // number
    kNumber,      // number
    kText,        // text
    kTuple,       // items
    kDictionary,  // items: key, value, key, value …
    kName,        // text: "module.name"
    kCall,        // text: what is called; items: its arguments, then as in a dictionary what was put in
    kPersistent,  // items: one, what stands for the object
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;
  std::string text;
  std::vector<const PickleValue*> items;
  size_t arguments = 0;  // kCall: so many of the items
};

// A pickle of protocol 2 and its values, which live as long as this does.
class Pickle {
 public:
  // Throws Error(kFormat) with `where` in front: another protocol, an instruction beyond these kinds, a name that is
  // not in `names`, an end in the middle.
  Pickle(std::span<const std::byte> bytes, const std::set<std::string>& names, std::string where);

  const PickleValue& top() const { return *top_; }

 private:
  friend class PickleReader;
  std::deque<PickleValue> values_;
  const PickleValue* top_ = nullptr;
};

}  // namespace morex::io
