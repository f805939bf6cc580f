#include "text/jinja/loop.h"

#include <utility>

#include "text/jinja/operators.h"

namespace morex::text::jinja {

Loop::Loop(const List& items, int depth) : items_(items), object_(std::make_shared<Object>()) {
  object_->type = "LoopContext";
  object_->set("length", static_cast<int64_t>(items.size()));
  object_->set("depth", depth);
  object_->set("depth0", depth - 1);
  object_->set("changed",
               Function{"changed", [last = std::make_shared<Value>(Undefined())](const Arguments& arguments) -> Value {
                          Value now = Tuple{arguments.positional};
                          const bool same = !last->is_undefined() && equal(*last, now);
                          *last = std::move(now);
                          return !same;
                        }});
}

void Loop::move_to(size_t index) {
  const size_t size = items_.size();
  object_->set("index0", static_cast<int64_t>(index));
  object_->set("index", static_cast<int64_t>(index + 1));
  object_->set("revindex0", static_cast<int64_t>(size - index - 1));
  object_->set("revindex", static_cast<int64_t>(size - index));
  object_->set("first", index == 0);
  object_->set("last", index + 1 == size);
  object_->set("previtem",
               index > 0 ? items_[index - 1] : Value(Undefined{"UndefinedError", "there is no previous item"}));
  object_->set("nextitem",
               index + 1 < size ? items_[index + 1] : Value(Undefined{"UndefinedError", "there is no next item"}));
  object_->set("cycle", Function{"cycle", [index](const Arguments& arguments) -> Value {
                                   if (arguments.positional.empty())
                                     throw Problem("TypeError", "no items for cycling given");
                                   return arguments.positional[index % arguments.positional.size()];
                                 }});
}

}  // namespace morex::text::jinja
