// The variable `loop` of a for block.
#pragma once
#include <memory>

#include "text/jinja/value.h"

namespace morex::text::jinja {

class Loop {
 public:
  Loop(const List& items, int depth);  // `items` must outlive this
  void move_to(size_t index);
  const std::shared_ptr<Object>& object() const { return object_; }

 private:
  const List& items_;
  std::shared_ptr<Object> object_;
};

}  // namespace morex::text::jinja
