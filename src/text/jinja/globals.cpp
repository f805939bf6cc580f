#include "text/jinja/globals.h"

#include <fmt/core.h>

#include <memory>
#include <utility>

#include "text/jinja/operators.h"

namespace morex::text::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as in Jinja's sandbox

Value make_range(const Arguments& arguments) {
  const List& given = arguments.positional;
  if (given.empty() || given.size() > 3) throw Problem("TypeError", "range expected 1 to 3 arguments");
  const int64_t begin = given.size() > 1 ? to_index(given[0]) : 0;
  const int64_t end = to_index(given.size() > 1 ? given[1] : given[0]);
  const int64_t step = given.size() > 2 ? to_index(given[2]) : 1;
  if (step == 0) throw Problem("ValueError", "range() arg 3 must not be zero");
  List out;
  for (int64_t at = begin; step > 0 ? at < end : at > end; at += step) {
    if (static_cast<int64_t>(out.size()) == kMaxRange) {
      throw Problem("OverflowError",
                    fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    }
    out.emplace_back(at);
  }
  return out;
}

// The entries of dict(mapping or pairs, name=value, …).
Dict make_dict(const Arguments& arguments) {
  Dict out;
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.is_dict()) {
      out = from.dict();
    } else {
      for (const Value& pair : iterate(from)) {
        const List parts = iterate(pair);
        if (parts.size() != 2) throw Problem("ValueError", "dict() needs pairs");
        out.set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) out.set(name, value);
  return out;
}

Value make_namespace(const Arguments& arguments) {
  auto object = std::make_shared<Object>();
  object->type = "Namespace";
  for (const auto& [name, value] : make_dict(arguments).entries) object->set(to_text(name), value);
  return object;
}

Value make_joiner(const Arguments& arguments) {
  const Value* given = arguments.get(0, "sep");
  const Value separator = given != nullptr ? *given : Value(", ");
  auto object = std::make_shared<Object>();
  object->type = "Joiner";
  object->call = [separator, used = false](const Arguments&) mutable -> Value {
    return std::exchange(used, true) ? separator : Value("");
  };
  return object;
}

Value make_cycler(const Arguments& arguments) {
  if (arguments.positional.empty()) throw Problem("RuntimeError", "at least one item has to be provided");
  auto object = std::make_shared<Object>();
  object->type = "Cycler";
  object->set("current", arguments.positional[0]);
  // The object holds these functions, so they must not hold it.
  const std::weak_ptr<Object> self = object;
  const auto place = std::make_shared<size_t>(0);
  const auto move_to = [self, place, items = arguments.positional](size_t to) {
    const Value passed = items[*place];
    *place = to % items.size();
    if (const auto held = self.lock()) held->set("current", items[*place]);
    return passed;
  };
  object->set("next", Function{"next", [move_to, place](const Arguments&) { return move_to(*place + 1); }});
  object->set("reset", Function{"reset", [move_to](const Arguments&) -> Value {
                                  move_to(0);
                                  return None();
                                }});
  return object;
}

Value raise_exception(const Arguments& arguments) {
  const Value* message = arguments.get(0, "message");
  throw Problem("TemplateError", message != nullptr ? to_text(*message) : "");
}

Function strftime(const std::tm& now) {
  return {"strftime_now", [now](const Arguments& arguments) -> Value {
            const Value* format = arguments.get(0, "format");
            if (format == nullptr || !format->is_string()) throw Problem("TypeError", "strftime_now needs a format");
            if (format->string().empty()) return "";
            std::string out(format->string().size() * 64 + 64, '\0');
            out.resize(std::strftime(out.data(), out.size(), format->string().c_str(), &now));
            return out;
          }};
}

}  // namespace

Dict make_globals(const std::tm& now) {
  Dict out;
  out.set("range", Function{"range", make_range});
  out.set("dict", Function{"dict", [](const Arguments& arguments) -> Value { return make_dict(arguments); }});
  out.set("namespace", Function{"namespace", make_namespace});
  out.set("joiner", Function{"joiner", make_joiner});
  out.set("cycler", Function{"cycler", make_cycler});
  out.set("raise_exception", Function{"raise_exception", raise_exception});
  out.set("strftime_now", strftime(now));
  return out;
}

}  // namespace morex::text::jinja
