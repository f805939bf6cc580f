// The values of a template: Python's types as far as templates see them. Immutable, except for namespaces.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace morex::text::jinja {

using Integer = __int128;  // wide enough for every number of a JSON text

class Value;
using List = std::vector<Value>;

struct None {
  bool operator==(const None&) const = default;
};

// A name or key that is not there: prints as nothing, fails on use with this error.
struct Undefined {
  std::string type = "UndefinedError";
  std::string message;
};

struct Tuple {
  List items;
};

// Keeps the order in which keys came.
class Dict {
 public:
  std::vector<std::pair<Value, Value>> entries;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);
};

struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;

  const Value* find(std::string_view name) const;
  // Argument number `index`, or the named one; null when it was not given.
  const Value* get(size_t index, std::string_view name) const;
};

struct Function {
  std::string name;
  std::function<Value(const Arguments&)> call;
};

// An object with attributes: a namespace, a loop, a cycler.
struct Object {
  std::string type;
  std::vector<std::pair<std::string, Value>> attributes;
  std::function<Value(const Arguments&)> call;  // empty: cannot be called

  const Value* find(std::string_view name) const;
  void set(const std::string& name, Value value);
};

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, Integer, double, std::shared_ptr<const std::string>,
                            std::shared_ptr<const List>, std::shared_ptr<const Tuple>, std::shared_ptr<const Dict>,
                            std::shared_ptr<const Function>, std::shared_ptr<Object>>;

  Value() : data_(None()) {}
  Value(None) : data_(None()) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(bool v) : data_(v) {}
  Value(Integer v) : data_(v) {}
  Value(int v) : data_(Integer(v)) {}
  Value(int64_t v) : data_(Integer(v)) {}
  Value(uint64_t v) : data_(Integer(v)) {}
  Value(double v) : data_(v) {}
  Value(std::string v) : data_(std::make_shared<const std::string>(std::move(v))) {}
  Value(std::string_view v) : Value(std::string(v)) {}
  Value(const char* v) : Value(std::string(v)) {}
  Value(List v) : data_(std::make_shared<const List>(std::move(v))) {}
  Value(Tuple v) : data_(std::make_shared<const Tuple>(std::move(v))) {}
  Value(Dict v) : data_(std::make_shared<const Dict>(std::move(v))) {}
  Value(Function v) : data_(std::make_shared<const Function>(std::move(v))) {}
  Value(std::shared_ptr<Object> v) : data_(std::move(v)) {}

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_bool() const { return is<bool>(); }
  bool is_integer() const { return is<Integer>(); }  // a bool is none here
  bool is_float() const { return is<double>(); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_string() const { return is<std::shared_ptr<const std::string>>(); }
  bool is_list() const { return is<std::shared_ptr<const List>>(); }
  bool is_tuple() const { return is<std::shared_ptr<const Tuple>>(); }
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }
  bool is_function() const { return is<std::shared_ptr<const Function>>(); }
  bool is_object() const { return is<std::shared_ptr<Object>>(); }

  const Undefined& undefined() const { return std::get<Undefined>(data_); }
  bool boolean() const { return std::get<bool>(data_); }
  Integer integer() const { return is_bool() ? Integer(boolean()) : std::get<Integer>(data_); }
  double real() const { return is_float() ? std::get<double>(data_) : static_cast<double>(integer()); }
  const std::string& string() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const Dict& dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  const Function& function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
  const std::shared_ptr<Object>& object() const { return std::get<std::shared_ptr<Object>>(data_); }
  const List& items() const {  // of a list or a tuple
    return is_list() ? *std::get<std::shared_ptr<const List>>(data_)
                     : std::get<std::shared_ptr<const Tuple>>(data_)->items;
  }
  bool is_sequence() const { return is_list() || is_tuple(); }
  // Whether both are the same object (small values: equal and of one type).
  bool same_as(const Value& other) const;

 private:
  Data data_;
};

// What a template did wrong; `type` is the name of Python's or Jinja's exception.
class Problem : public std::exception {
 public:
  Problem(std::string error_type, std::string error_message)
      : type(std::move(error_type)), message(std::move(error_message)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string type, message;
  int line = 0;  // 0: not known yet
};
// For what Jinja has and this engine does not.
inline constexpr const char* kUnsupported = "UnsupportedTemplate";

bool truth(const Value& value);
bool equal(const Value& a, const Value& b);
// Negative, 0 or positive. Throws TypeError for values without an order; `symbol` is the operator in its message.
int compare(const Value& a, const Value& b, const char* symbol = "<");
std::string type_name(const Value& value);  // Python's
std::string to_text(const Value& value);    // str(value)
std::string repr(const Value& value);
std::string repr(std::string_view text);
std::string integer_text(Integer value);
std::string float_text(double value);

// The items a loop over `value` sees: of a list, a tuple, a dict (its keys), a string (its characters). Throws.
List iterate(const Value& value);
// Throws UndefinedError when the value is undefined.
void require_defined(const Value& value);

Value from_json(const OrderedJson& json);
// Python's json.dumps(value, ensure_ascii, indent, separators, sort_keys).
struct JsonStyle {
  bool ascii = false;
  std::string indent;  // empty with `lines` false: one line
  bool lines = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
std::string to_json_text(const Value& value, const JsonStyle& style);

}  // namespace morex::text::jinja
